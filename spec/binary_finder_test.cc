#include "spec/binary_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

class BinaryFinderTest : public ::testing::Test {
 protected:
  // All places, first to last: beside the spec, two --scheduler-dirs, the build tree, PATH.
  DirBinaryFinder finder() const {
    return DirBinaryFinder({.scheduler_dirs = {dir_ / "one", dir_ / "two"},
                            .build_schedulers_dir = dir_ / "build",
                            .path = (dir_ / "bin") + "::" + (dir_ / "sbin")});
  }
  Result<std::string> find(const std::string& binary) const {
    return finder().find(binary, dir_ / "specs/a.toml");
  }

  TempDirForTest dir_;
};

TEST_F(BinaryFinderTest, TheFirstPlaceWins) {
  for (const char* place :
       {"sbin/scx_a", "bin/scx_a", "build/scx_a", "two/scx_a", "one/scx_a", "specs/scx_a"}) {
    std::string path = dir_.write(place, "x", true);
    auto found = find("scx_a");
    ASSERT_TRUE(found.ok()) << found.error().to_string();
    EXPECT_EQ(*found, path);
  }
}

TEST_F(BinaryFinderTest, APathIsRelativeToTheSpecAndNothingElseIsTried) {
  std::string path = dir_.write("specs/sub/scx_a", "x", true);
  EXPECT_EQ(*find("sub/scx_a"), path);
  EXPECT_EQ(*find("./sub/../sub/scx_a"), path);
  EXPECT_EQ(*find(path), path);
  dir_.write("one/deep/scx_b", "x", true);
  auto missing = find("deep/scx_b");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(),
            "binary \"deep/scx_b\" not found; looked for: " + (dir_ / "specs/deep/scx_b"));
}

TEST_F(BinaryFinderTest, NotFoundNamesEveryPlace) {
  auto missing = find("scx_gone");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  for (const char* place : {"specs", "one", "two", "build", "bin", "sbin"})
    EXPECT_THAT(missing.error().message(), HasSubstr(dir_ / (std::string(place) + "/scx_gone")));
  EXPECT_THAT(missing.error().hint(), HasSubstr("--scheduler-dir"));
}

TEST_F(BinaryFinderTest, AFileThatCannotRunIsPassedOverAndNamed) {
  dir_.write("specs/scx_a/readme", "a folder of that name");
  auto folder_only = find("scx_a");
  ASSERT_FALSE(folder_only.ok());
  EXPECT_EQ(folder_only.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(folder_only.error().message(),
              HasSubstr("not a file that can be run: " + (dir_ / "specs/scx_a")));
  std::string good = dir_.write("two/scx_a", "x", true);
  dir_.write("one/scx_a", "x", false);
  EXPECT_EQ(*find("scx_a"), good);
}

TEST_F(BinaryFinderTest, ResultsAreAbsolute) {
  auto found = DirBinaryFinder({.path = "/usr/bin:/bin"}).find("sh", "a.toml");
  ASSERT_TRUE(found.ok()) << found.error().to_string();
  EXPECT_EQ(found->front(), '/');
  auto missing = DirBinaryFinder({}).find("scx_gone", "a.toml");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("looked for: /"));
}

}  // namespace
}  // namespace ktstr
