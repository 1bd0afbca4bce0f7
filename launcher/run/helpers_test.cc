#include "launcher/run/helpers.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "base/small_files.h"
#include "base/unique_fd.h"

namespace ktstr {
namespace {

TEST(Helpers, ASignalEndsTheWaitForOneThatNeverGetsReady) {
  char folder[] = "/tmp/ktstr-helpers-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string program = std::string(folder) + "/ktstr-collector";
  ASSERT_TRUE(write_file_atomically(program, "#!/bin/sh\nexec sleep 1000\n"));
  ASSERT_EQ(chmod(program.c_str(), 0700), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd signals(ends[0]), sender(ends[1]);
  ASSERT_EQ(write(sender.get(), "s", 1), 1);

  const auto start = std::chrono::steady_clock::now();
  auto helper = start_helper("collector", {.program_folder = folder, .stop_fd = signals.get()});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15)) << "readiness has 20 s";
  ASSERT_FALSE(helper);
  EXPECT_NE(helper.error().message().find("interrupted"), std::string::npos) << helper.error().message();
  char left;
  EXPECT_EQ(read(signals.get(), &left, 1), 1) << "the signal is still there for who reads it";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ktstr
