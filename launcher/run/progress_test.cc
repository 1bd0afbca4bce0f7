#include "launcher/run/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

TEST(Progress, AReaderThatDoesNotReadHoldsNobodyUpAndLearnsWhatItMissed) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  ASSERT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  const std::string filling(4096, 'x');
  while (write(ends[1], filling.data(), filling.size()) > 0) continue;
  ASSERT_EQ(fcntl(ends[1], F_SETFL, 0), 0);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(fdopen(ends[1], "w"), &std::fclose);
  LineProgress progress(out.get(), /*terminal=*/false, /*quiet=*/false);
  alarm(60);  // a say() that blocks ends the test
  progress.say("first");
  progress.step("second");

  ASSERT_EQ(fcntl(reader.get(), F_SETFL, O_NONBLOCK), 0);
  std::string chunk(1 << 16, 0);
  while (read(reader.get(), chunk.data(), chunk.size()) > 0) continue;
  progress.say("third");
  alarm(0);
  chunk.resize(static_cast<size_t>(read(reader.get(), chunk.data(), chunk.size())));
  EXPECT_EQ(chunk, "(2 lines were not shown: nobody read them)\nthird\n");
}

}  // namespace
}  // namespace ktstr
