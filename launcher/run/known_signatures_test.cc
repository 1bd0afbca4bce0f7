#include "launcher/run/known_signatures.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <filesystem>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

class KnownSignatures : public testing::Test {
 protected:
  KnownSignatures() : root_(fs::path(testing::TempDir()) / ("known-" + std::to_string(::getpid()))) {}
  ~KnownSignatures() override { fs::remove_all(root_); }
  std::string run(const std::string& name, const std::string& signature, time_t day = 0) {
    const std::string folder = (root_ / name / "t").string();
    fs::create_directories(folder);
    EXPECT_TRUE(keep_signature(folder, signature));
    if (day) {
      const utimbuf times{day, day};
      ::utime((folder + "/signature").c_str(), &times);
    }
    return folder;
  }
  fs::path root_;
};

TEST_F(KnownSignatures, ARunCountsThoseBeforeItAndNotItself) {
  run("a", "0x401 x @ f", 1'700'000'000);
  run("b", "0x401 x @ f");
  run("c", "0x402 stall");
  const std::string own = run("d", "0x401 x @ f");
  const auto known = find_known("0x401 x @ f", {root_.string()}, own);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->times, 2u);
  EXPECT_EQ(known->since, "2023-11-14");
  EXPECT_EQ(known->first, (root_ / "a" / "t" / "events.ktlog").string());
}

TEST_F(KnownSignatures, WhatNobodySawIsNotKnown) {
  run("a", "0x402 stall");
  EXPECT_FALSE(find_known("0x401 x @ f", {root_.string(), "/nonexistent"}, ""));
}

TEST_F(KnownSignatures, AFolderThatIsNamedTwiceCountsOnce) {
  run("a", "s");
  EXPECT_EQ(find_known("s", {root_.string(), root_.string(), (root_ / "a").string()}, "")->times, 1u);
}

TEST_F(KnownSignatures, TheFileIsForItsOwnerOnly) {
  struct stat info{};
  ASSERT_EQ(::stat((run("a", "s") + "/signature").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace ktstr
