#include "launcher/run/folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

class FoldersTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktfold-XXXXXX";
    root_ = mkdtemp(name);
    options_.runtime_dir = root_;
    options_.home = root_;
    options_.run_id = "r1";
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string root_;
  FolderOptions options_;
};

TEST_F(FoldersTest, BusFolderIsPrivateAndGoesAway) {
  std::string path;
  {
    auto folder = BusFolder::create(options_);
    ASSERT_TRUE(folder);
    path = folder->path();
    struct stat st{};
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777u, 0700u);
    std::ofstream(path + "/x") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(FoldersTest, SweepRemovesDeadRunsOnly) {
  auto alive = BusFolder::create(options_);
  ASSERT_TRUE(alive);
  std::string dead = root_ + "/ktstr-bus-dead01";
  fs::create_directory(dead);
  std::ofstream(dead + "/ingest.sock") << "x";
  fs::create_directory(root_ + "/someone-elses");
  EXPECT_EQ(BusFolder::sweep(options_), 1);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive->path()));
  EXPECT_TRUE(fs::exists(root_ + "/someone-elses"));
}

TEST_F(FoldersTest, ATestRunTwiceInOneFolderKeepsBothLogs) {
  auto artifacts = make_artifact_folder(options_);
  ASSERT_TRUE(artifacts);
  EXPECT_EQ(*artifacts, root_ + "/.local/state/ktstr/runs/r1");
  auto first = make_test_folder(*artifacts, "t");
  ASSERT_TRUE(first);
  std::ofstream(*first + "/events.ktlog") << "log";
  auto second = make_test_folder(*artifacts, "t");
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, *artifacts + "/t-2");
}

TEST_F(FoldersTest, NoHomeIsOneClearError) {
  options_.home.clear();
  auto artifacts = make_artifact_folder(options_);
  ASSERT_FALSE(artifacts);
  EXPECT_NE(artifacts.error().to_string().find("--out"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
