#include "launcher/vm/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

using testing::Contains;
using testing::HasSubstr;

struct Read {
  uint32_t mode = 0;
  std::string content;  // or link target
  std::pair<int, int> device;
};

std::map<std::string, Read> read_back(const std::string& path, std::vector<std::string>* order = nullptr) {
  std::map<std::string, Read> files;
  archive* in = archive_read_new();
  archive_read_support_format_cpio(in);
  archive_read_support_filter_all(in);
  EXPECT_EQ(archive_read_open_filename(in, path.c_str(), 65536), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(in, &entry) == ARCHIVE_OK) {
    Read file;
    file.mode = archive_entry_mode(entry);
    if (archive_entry_symlink(entry) != nullptr) file.content = archive_entry_symlink(entry);
    file.device = {archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry)};
    char chunk[65536];
    la_ssize_t n;
    while (S_ISREG(file.mode) && (n = archive_read_data(in, chunk, sizeof(chunk))) > 0)
      file.content.append(chunk, static_cast<size_t>(n));
    if (order != nullptr) order->push_back(archive_entry_pathname(entry));
    files[archive_entry_pathname(entry)] = file;
  }
  archive_read_free(in);
  return files;
}

class InitramfsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ktstr-test-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(InitramfsTest, WritesWhatWasAdded) {
  std::string big(3 << 20, 'x');
  std::ofstream(dir_ + "/tool") << big;
  chmod((dir_ + "/tool").c_str(), 0755);
  Initramfs fs;
  ASSERT_TRUE(fs.add_bytes("/ktstr/plan.bin", std::string_view("a\0b", 3), 0600).ok());
  ASSERT_TRUE(fs.add_file("/opt/deep/er/tool", dir_ + "/tool").ok());
  ASSERT_TRUE(fs.add_symlink("/opt/link", "deep").ok());
  EXPECT_EQ(fs.content_bytes(), Initramfs().content_bytes() + big.size() + 3);
  for (auto compression : {InitramfsCompression::kNone, InitramfsCompression::kZstd}) {
    SCOPED_TRACE(compression == InitramfsCompression::kNone ? "plain" : "zstd");
    ASSERT_TRUE(fs.write(dir_ + "/initrd", compression).ok());
    std::vector<std::string> order;
    auto files = read_back(dir_ + "/initrd", &order);
    EXPECT_EQ(files["ktstr/plan.bin"].content, std::string("a\0b", 3));
    EXPECT_EQ(files["ktstr/plan.bin"].mode, S_IFREG | 0600u);
    EXPECT_TRUE(files["opt/deep/er/tool"].content == big) << files["opt/deep/er/tool"].content.size();
    EXPECT_EQ(files["opt/deep/er/tool"].mode & 0777, 0755u);
    EXPECT_EQ(files["opt/link"].content, "deep");
    EXPECT_EQ(files["dev/console"].mode, S_IFCHR | 0600u);
    EXPECT_EQ(files["dev/console"].device, std::pair(5, 1));
    EXPECT_EQ(files["lib64"].content, "usr/lib64");
    auto place = [&](const char* name) {
      return std::find(order.begin(), order.end(), name) - order.begin();
    };
    EXPECT_LT(place("opt/deep"), place("opt/deep/er")) << "the kernel makes no parents";
    EXPECT_LT(place("opt/deep/er"), place("opt/deep/er/tool"));
  }
}

TEST_F(InitramfsTest, HasWhatProgramsOfADebianSystemLookFor) {
  ASSERT_TRUE(Initramfs().write(dir_ + "/i.cpio"));
  auto files = read_back(dir_ + "/i.cpio");
  EXPECT_EQ(files["etc/passwd"].content.substr(0, 10), "root:x:0:0");
  EXPECT_EQ(files["etc/hostname"].content, "ktstr\n");
  EXPECT_EQ(files["var/run"].content, "/run");
  EXPECT_EQ(files["var/tmp"].mode & 07777, 01777u);
  for (const char* path :
       {"etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/os-release", "etc/machine-id", "var/lib"})
    EXPECT_TRUE(files.contains(path)) << path;
}

TEST_F(InitramfsTest, LibIsUnderUsr) {
  Initramfs fs;
  ASSERT_TRUE(fs.add_bytes("/lib/x/libc.so", "c").ok());
  EXPECT_THAT(fs.paths(), Contains("/usr/lib/x/libc.so"));
}

TEST_F(InitramfsTest, TwiceTheSameIsFineAndAnotherIsNot) {
  Initramfs fs;
  ASSERT_TRUE(fs.add_bytes("/a", "1").ok());
  EXPECT_TRUE(fs.add_bytes("/a", "1").ok());
  EXPECT_FALSE(fs.add_bytes("/a", "2").ok());
  EXPECT_FALSE(fs.add_bytes("/a/b", "2").ok()) << "a file has no children";
  EXPECT_FALSE(fs.add_bytes("relative", "2").ok());
  EXPECT_FALSE(fs.add_bytes("/", "2").ok());
  EXPECT_EQ(fs.add_file("/c", dir_ + "/absent").error().kind(), ErrorKind::kNotFound);
}

TEST_F(InitramfsTest, AFileThatShrinksIsNoticed) {
  std::ofstream(dir_ + "/f") << std::string(1000, 'x');
  Initramfs fs;
  ASSERT_TRUE(fs.add_file("/f", dir_ + "/f").ok());
  std::ofstream(dir_ + "/f") << "x";
  auto written = fs.write(dir_ + "/initrd");
  ASSERT_FALSE(written.ok());
  EXPECT_THAT(written.error().message(), HasSubstr("shrank"));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/initrd"));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/initrd.tmp"));
}

TEST_F(InitramfsTest, ADynamicProgramBringsItsLibraries) {
  Initramfs fs;
  ASSERT_TRUE(fs.add_program("/ktstr/bin/self", "/proc/self/exe").ok());
  auto paths = fs.paths();
  EXPECT_THAT(paths, Contains("/ktstr/bin/self"));
  EXPECT_THAT(paths, Contains(HasSubstr("libc.so.6")));
  EXPECT_THAT(paths, Contains("/usr/lib64/ld-linux-x86-64.so.2"));
}

}  // namespace
}  // namespace ktstr
