// Spec files as they lie on a disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/temp_dir.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

class SpecFileTest : public ::testing::Test {
 protected:
  Error refusal(const std::string& path) {
    auto specs = load_spec(path, {});
    if (!specs.ok()) return specs.error();
    ADD_FAILURE() << path << " was accepted";
    return Error::invalid("");
  }
  TempDirForTest dir_;
};

TEST_F(SpecFileTest, ABinaryIsFoundBesideTheSpec) {
  std::string binary = dir_.write("specs/scx_a", "x", true);
  std::string path = dir_.write(
      "specs/a.toml", "[scheduler.a]\nbinary = \"scx_a\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n");
  DirBinaryFinder finder({});
  auto specs = load_spec(path, {.binaries = &finder});
  ASSERT_TRUE(specs.ok()) << specs.error().to_string();
  ASSERT_EQ(specs->size(), 1u);
  EXPECT_EQ((*specs)[0].file, path);
  EXPECT_EQ((*specs)[0].scheduler->host_path, binary);
}

TEST_F(SpecFileTest, MissingFile) {
  Error error = refusal(dir_ / "gone.toml");
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error.message(), (dir_ / "gone.toml") + ": No such file or directory");
}

TEST_F(SpecFileTest, AFolder) {
  dir_.write("specs/x", "");
  EXPECT_EQ(refusal(dir_ / "specs").message(), (dir_ / "specs") + ": a folder, not a spec file");
}

TEST_F(SpecFileTest, AnEmptyFile) {
  EXPECT_THAT(refusal(dir_.write("a.toml", "")).message(), HasSubstr("a.toml: no [[test]] in it"));
}

TEST_F(SpecFileTest, AHugeFile) {
  Error error = refusal(dir_.write("a.toml", std::string(kMaxSpecBytes + 1, '#')));
  EXPECT_THAT(error.message(), HasSubstr("larger than 1024 KiB, surely not a spec"));
}

TEST_F(SpecFileTest, AnEndlessFile) { EXPECT_THAT(refusal("/dev/zero").message(), HasSubstr("larger than")); }

TEST_F(SpecFileTest, ABinaryFile) {
  EXPECT_THAT(refusal("/proc/self/exe").message(),
              ::testing::AnyOf(HasSubstr("larger than"), HasSubstr("a binary file")));
  EXPECT_THAT(refusal(dir_.write("a.toml", std::string_view("\x7f"
                                                            "ELF\0\0",
                                                            6)))
                  .message(),
              HasSubstr("a binary file"));
}

TEST_F(SpecFileTest, DeepNestingIsRefusedNotFollowed) {
  std::string deep =
      "[[test]]\nname = \"x\"\nllcs = " + std::string(100000, '[') + std::string(100000, ']') + "\n";
  EXPECT_THAT(refusal(dir_.write("a.toml", deep)).message(), HasSubstr("a.toml:3: not valid TOML"));
}

}  // namespace
}  // namespace ktstr
