#include "base/small_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

class SmallFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr_files_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(SmallFiles, AFileOfExactlyTheLimitIsRead) {
  ASSERT_TRUE(write_file_atomically(folder_ / "f", "12345").ok());
  EXPECT_EQ(*read_binary(folder_ / "f", 5), "12345");
  EXPECT_FALSE(read_binary(folder_ / "f", 4).ok());
}

TEST_F(SmallFiles, AnAtomicWriteReplacesAndLeavesNothingBeside) {
  ASSERT_TRUE(write_file_atomically(folder_ / "f", "old").ok());
  ASSERT_TRUE(write_file_atomically(folder_ / "f", "new", {.mode = 0700}).ok());
  EXPECT_EQ(*read_binary(folder_ / "f", 100), "new");
  struct stat st{};
  ASSERT_EQ(::stat((folder_ / "f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0700u, 0700u);
  EXPECT_EQ(files(), 1u);
}

// Its name is taken by a folder: the rename fails.
TEST_F(SmallFiles, AFailedAtomicWriteLeavesNothingBeside) {
  fs::create_directories(folder_ / "f" / "inside");
  EXPECT_FALSE(write_file_atomically(folder_ / "f", "text").ok());
  EXPECT_EQ(files(), 1u);
  EXPECT_FALSE(write_file_atomically(folder_ / "no" / "f", "text").ok());
}

}  // namespace
}  // namespace ktstr
