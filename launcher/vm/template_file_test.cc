#include "launcher/vm/template_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

using testing::HasSubstr;

constexpr uint64_t kRam = (9u << 20) + 4096;  // no whole number of segments

class TemplateFileTest : public testing::Test {
 protected:
  static UniqueFd memory(uint64_t bytes) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    return fd;
  }
  static void put(const UniqueFd& fd, uint64_t at, const std::string& text) {
    EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(text.size()));
  }
  static std::string all_of(const UniqueFd& fd) {
    struct stat st{};
    ::fstat(fd.get(), &st);
    std::string text(static_cast<size_t>(st.st_size), '\0');
    EXPECT_EQ(::pread(fd.get(), text.data(), text.size(), 0), st.st_size);
    return text;
  }
  static uint64_t blocks(const UniqueFd& fd) {
    struct stat st{};
    ::fstat(fd.get(), &st);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  }
  void SetUp() override {
    put(ram_, 0, "first page");
    put(ram_, 5u << 20, std::string(3 * 4096, 'x'));
    put(ram_, 6u << 20, std::string(4096, '\0'));  // there, and zero
    put(ram_, kRam - 4, "last");
    put(state_, 0, "device state");
    ASSERT_TRUE(write_template(path_, key_, ram_.get(), kRam, state_.get()));
  }
  Status load(UniqueFd& ram, UniqueFd& state) {
    auto file = TemplateFile::open(path_, key_, kRam);
    if (!file) return std::move(file).error();
    return file->load(ram.get(), state.get());
  }
  std::string failure() {
    UniqueFd ram = memory(kRam), state = memory(0);
    auto loaded = load(ram, state);
    return loaded ? "it was loaded" : loaded.error().message();
  }

  TempDirForTest dir_;
  std::string path_ = dir_ / "t.ktvm", key_ = std::string(64, 'a');
  UniqueFd ram_ = memory(kRam), state_ = memory(0);
};

TEST_F(TemplateFileTest, RamAndStateComeBackAndZeroPagesTakeNothing) {
  UniqueFd ram = memory(kRam), state = memory(0);
  ASSERT_TRUE(load(ram, state));
  EXPECT_TRUE(all_of(ram) == all_of(ram_));
  EXPECT_EQ(all_of(state), "device state");
  EXPECT_LE(blocks(ram), 5u * 4096);
  EXPECT_LT(std::filesystem::file_size(path_), 4096u);
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(TemplateFileTest, EachLostByteAndEachChangedByteIsNoticed) {
  const auto size = std::filesystem::file_size(path_);
  const std::string whole = [&] {
    UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    return all_of(fd);
  }();
  for (uint64_t at = 0; at < size; at += 7) {
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(at)), 0);
    EXPECT_NE(failure(), "it was loaded") << "cut at " << at;
    UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    put(fd, 0, whole);
    put(fd, at, std::string(1, static_cast<char>(whole[at] ^ 0x20)));
    EXPECT_NE(failure(), "it was loaded") << "changed at " << at;
    put(fd, 0, whole);
  }
  EXPECT_EQ(failure(), "it was loaded");
}

TEST_F(TemplateFileTest, AnotherKeyOrAnotherSizeIsAnotherVm) {
  EXPECT_THAT(TemplateFile::open(path_, std::string(64, 'b'), kRam).error().message(),
              HasSubstr("another VM"));
  EXPECT_THAT(TemplateFile::open(path_, key_, kRam + 4096).error().message(), HasSubstr("another VM"));
  EXPECT_EQ(TemplateFile::open(dir_ / "absent", key_, kRam).error().kind(), ErrorKind::kNotFound);
}

TEST_F(TemplateFileTest, OneThatOthersCanReadOrThatIsALinkIsRefused) {
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  EXPECT_THAT(failure(), HasSubstr("its owner alone"));
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  std::filesystem::create_symlink(path_, dir_ / "link");
  EXPECT_FALSE(TemplateFile::open(dir_ / "link", key_, kRam));
}

TEST_F(TemplateFileTest, NothingIsLeftOfOneThatCannotBeWritten) {
  UniqueFd empty = memory(0);
  EXPECT_FALSE(write_template(dir_ / "u", key_, ram_.get(), kRam, empty.get()));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "u"));
  EXPECT_FALSE(write_template(path_, key_, ram_.get(), kRam, state_.get())) << "it is there already";
  EXPECT_EQ(failure(), "it was loaded");
}

}  // namespace
}  // namespace ktstr
