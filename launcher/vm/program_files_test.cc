// A small root file system of its own, with libraries made by the C compiler where one is there.

#include "launcher/vm/program_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace ktstr {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ProgramFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ktstr-test-XXXXXX").string();
    root_ = fs::canonical(mkdtemp(pattern.data()));
    fs::create_directories(root_ + "/usr/lib/x86_64-linux-gnu");
    fs::create_directories(root_ + "/usr/bin");
    fs::create_symlink("usr/lib", root_ + "/lib");
    fs::create_directories(root_ + "/usr/lib64");
    fs::create_symlink("usr/lib64", root_ + "/lib64");
    put("/lib64/ld-linux-x86-64.so.2", "loader");
    search_.root = root_;
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text, int mode = 0755) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
    chmod((root_ + path).c_str(), static_cast<mode_t>(mode));
  }
  // Compiles `source`; `flags` may say ROOT.
  void compile(const std::string& path, const std::string& source, std::string flags) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + "/t.c") << source;
    for (size_t at; (at = flags.find("ROOT")) != std::string::npos;) flags.replace(at, 4, root_);
    std::string command = "cc -nostdlib -o '" + root_ + path + "' '" + root_ + "/t.c' " + flags;
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  void library(const std::string& path, const std::string& function, const std::string& flags = "") {
    std::string soname = fs::path(path).filename();
    compile(path, "int " + function + "(void) { return 1; }",
            "-shared -fPIC -Wl,-soname," + soname + " " + flags);
  }
  void program(const std::string& path, const std::string& flags) {
    compile(path, "void _start(void) { for (;;); }", "-fPIE -pie -Wl,--no-as-needed " + flags);
  }
  Result<std::map<std::string, std::string>> collect(const std::string& path,
                                                     const std::string& guest = "/ktstr/bin/p") {
    auto files = collect_program_files(root_ + path, guest, search_);
    if (!files) return std::move(files).error();
    std::map<std::string, std::string> by_guest;
    for (const auto& f : *files) by_guest[f.guest_path] = f.host_path.substr(root_.size());
    return by_guest;
  }

  std::string root_;
  ProgramSearch search_;
};

TEST_F(ProgramFilesTest, OfTheCommonLibrariesThoseThatAreHereComeOnceWithWhatTheyNeed) {
  library("/lib/x86_64-linux-gnu/libzstd.so.1", "zstd");
  library("/lib/x86_64-linux-gnu/libc.so.6", "c");
  library("/lib/x86_64-linux-gnu/libelf.so.1", "elf",
          "-Wl,--no-as-needed ROOT/lib/x86_64-linux-gnu/libzstd.so.1 ROOT/lib/x86_64-linux-gnu/libc.so.6");
  library("/lib/x86_64-linux-gnu/libgone.so.1", "gone");
  library("/lib/x86_64-linux-gnu/libz.so.1", "z",
          "-Wl,--no-as-needed ROOT/lib/x86_64-linux-gnu/libgone.so.1");
  fs::remove(root_ + "/lib/x86_64-linux-gnu/libgone.so.1");
  put("/lib/x86_64-linux-gnu/libbpf.so.1", "torn");
  std::vector<std::string> paths;
  for (const ProgramFile& file : collect_common_libraries(search_)) paths.push_back(file.guest_path);
  EXPECT_THAT(paths, testing::UnorderedElementsAre(
                         "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libelf.so.1",
                         "/usr/lib/x86_64-linux-gnu/libzstd.so.1", "/lib64/ld-linux-x86-64.so.2"));
}

TEST_F(ProgramFilesTest, WalksNeededOfNeeded) {
  library("/lib/x86_64-linux-gnu/libb.so.1", "b");
  library("/lib/x86_64-linux-gnu/liba.so.1", "a", "-Wl,--no-as-needed ROOT/lib/x86_64-linux-gnu/libb.so.1");
  program("/usr/bin/p", "ROOT/lib/x86_64-linux-gnu/liba.so.1 -Wl,-rpath-link,ROOT/lib/x86_64-linux-gnu");
  auto files = collect("/usr/bin/p");
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_EQ(files->size(), 4u);
  EXPECT_EQ((*files)["/ktstr/bin/p"], "/usr/bin/p");
  EXPECT_EQ((*files)["/lib64/ld-linux-x86-64.so.2"], "/usr/lib64/ld-linux-x86-64.so.2");
  EXPECT_EQ((*files)["/usr/lib/x86_64-linux-gnu/liba.so.1"], "/usr/lib/x86_64-linux-gnu/liba.so.1");
  EXPECT_EQ((*files)["/usr/lib/x86_64-linux-gnu/libb.so.1"], "/usr/lib/x86_64-linux-gnu/libb.so.1");
}

TEST_F(ProgramFilesTest, OriginIsWhereTheProgramWillStand) {
  library("/opt/app/lib/liba.so.1", "a");
  program("/opt/app/bin/p", "ROOT/opt/app/lib/liba.so.1 -Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'");
  auto files = collect("/opt/app/bin/p", "/ktstr/bin/p");
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_EQ((*files)["/ktstr/lib/liba.so.1"], "/opt/app/lib/liba.so.1");
}

TEST_F(ProgramFilesTest, RpathIsInheritedRunpathIsNot) {
  library("/opt/x/libb.so.1", "b");
  library("/opt/x/liba.so.1", "a", "-Wl,--no-as-needed ROOT/opt/x/libb.so.1");
  std::string link = "ROOT/opt/x/liba.so.1 -Wl,-rpath-link,ROOT/opt/x ";
  program("/usr/bin/old", link + "-Wl,--disable-new-dtags,-rpath,/opt/x");
  program("/usr/bin/new", link + "-Wl,--enable-new-dtags,-rpath,/opt/x");
  auto inherited = collect("/usr/bin/old");
  ASSERT_TRUE(inherited.ok()) << inherited.error().to_string();
  EXPECT_EQ((*inherited)["/opt/x/libb.so.1"], "/opt/x/libb.so.1");
  auto missing = collect("/usr/bin/new");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("libb.so.1"));
  EXPECT_THAT(missing.error().message(), HasSubstr("liba.so.1")) << "who needs it";
}

TEST_F(ProgramFilesTest, LdSoConfDirectoriesMoveToAStandardOne) {
  put("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0644);
  put("/etc/ld.so.conf.d/x.conf", "# comment\n/opt/y\n", 0644);
  library("/opt/y/liba.so.1.2.3", "a", "-Wl,-soname,liba.so.1");
  fs::create_symlink("liba.so.1.2.3", root_ + "/opt/y/liba.so.1");
  program("/usr/bin/p", "ROOT/opt/y/liba.so.1");
  auto files = collect("/usr/bin/p");
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_EQ((*files)["/usr/lib/x86_64-linux-gnu/liba.so.1"], "/opt/y/liba.so.1.2.3");
}

TEST_F(ProgramFilesTest, AForeignLibraryIsPassedOver) {
  put("/lib/x86_64-linux-gnu/liba.so.1", "not a library");
  library("/usr/lib64/liba.so.1", "a");
  program("/usr/bin/p", "ROOT/usr/lib64/liba.so.1");
  auto files = collect("/usr/bin/p");
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_EQ((*files)["/usr/lib64/liba.so.1"], "/usr/lib64/liba.so.1");
}

TEST_F(ProgramFilesTest, AMissingLibraryIsNamed) {
  library("/tmp/libgone.so.4", "a");
  program("/usr/bin/p", "ROOT/tmp/libgone.so.4");
  auto files = collect("/usr/bin/p");
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(files.error().message(), HasSubstr("libgone.so.4"));
  EXPECT_THAT(files.error().message(), HasSubstr("/usr/bin/p"));
  EXPECT_FALSE(files.error().hint().empty());
}

TEST_F(ProgramFilesTest, AScriptBringsItsInterpreter) {
  program("/usr/bin/env", "");
  program("/usr/bin/lang", "");
  put("/work/direct", "#!/usr/bin/lang -x\n");
  put("/work/by_env", "#!/usr/bin/env -S lang -u\n");
  put("/work/lost", "#!/usr/bin/env nolang\n");
  put("/work/none", "#!/usr/bin/nothing\n");
  auto direct = collect("/work/direct");
  ASSERT_TRUE(direct.ok()) << direct.error().to_string();
  EXPECT_EQ((*direct)["/usr/bin/lang"], "/usr/bin/lang");
  auto by_env = collect("/work/by_env");
  ASSERT_TRUE(by_env.ok()) << by_env.error().to_string();
  EXPECT_EQ((*by_env)["/usr/bin/env"], "/usr/bin/env");
  EXPECT_EQ((*by_env)["/usr/bin/lang"], "/usr/bin/lang");
  EXPECT_THAT(collect("/work/lost").error().message(), HasSubstr("nolang"));
  EXPECT_THAT(collect("/work/none").error().message(), HasSubstr("/usr/bin/nothing"));
}

// `files` of a spec: data comes alone, a program with its libraries, a library to where dlopen() looks for it.
TEST_F(ProgramFilesTest, AFileOfTheSpecBringsWhatItNeeds) {
  auto collect = [&](const std::string& path) {
    std::map<std::string, std::string> by_guest;
    auto files =
        collect_test_file(root_ + path, "/ktstr/files/" + fs::path(path).filename().string(), search_);
    EXPECT_TRUE(files) << files.error().message();
    if (files)
      for (const auto& f : *files) by_guest[f.guest_path] = f.host_path.substr(root_.size());
    return by_guest;
  };
  using Files = std::map<std::string, std::string>;
  put("/data.json", "{}", 0644);
  EXPECT_EQ(collect("/data.json"), (Files{{"/ktstr/files/data.json", "/data.json"}}));
  put("/notes.so.txt", "no library", 0644);
  EXPECT_EQ(collect("/notes.so.txt").size(), 1u);
  library("/lib/x86_64-linux-gnu/liba.so.1", "a");
  library("/opt/libplug.so", "plug", "-Wl,--no-as-needed ROOT/lib/x86_64-linux-gnu/liba.so.1");
  chmod((root_ + "/opt/libplug.so").c_str(), 0644);
  EXPECT_EQ(collect("/opt/libplug.so"),
            (Files{{"/ktstr/files/libplug.so", "/opt/libplug.so"},
                   {"/usr/lib/x86_64-linux-gnu/liba.so.1", "/usr/lib/x86_64-linux-gnu/liba.so.1"},
                   {"/usr/lib/x86_64-linux-gnu/libplug.so", "/opt/libplug.so"}}));
  program("/opt/tool", "ROOT/lib/x86_64-linux-gnu/liba.so.1");
  EXPECT_EQ(collect("/opt/tool").size(), 3u) << "with its loader and its library";
  chmod((root_ + "/opt/tool").c_str(), 0644);
  EXPECT_EQ(collect("/opt/tool").size(), 1u) << "not to be run: data";
  EXPECT_FALSE(collect_test_file(root_ + "/gone", "/ktstr/files/gone", search_));
}

TEST_F(ProgramFilesTest, RefusesWhatCannotRun) {
  put("/work/text", "hello");
  put("/work/empty", "");
  put("/work/plain", "#!/bin/sh\n", 0644);
  put("/work/self", "#!" + root_ + "/work/self\n");
  EXPECT_THAT(collect("/work/text").error().message(), HasSubstr("neither an x86-64 program nor a script"));
  EXPECT_FALSE(collect("/work/empty").ok());
  EXPECT_THAT(collect("/work/plain").error().message(), HasSubstr("not executable"));
  EXPECT_FALSE(collect("/work/self").ok()) << "a script that interprets itself";
  EXPECT_EQ(collect("/work/absent").error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(collect("/work").ok());
}

// Any outcome is right as long as there is one.
TEST_F(ProgramFilesTest, SurvivesDamage) {
  library("/lib/x86_64-linux-gnu/liba.so.1", "a");
  program("/usr/bin/p", "ROOT/lib/x86_64-linux-gnu/liba.so.1");
  std::ifstream in(root_ + "/usr/bin/p", std::ios::binary);
  std::string whole((std::istreambuf_iterator<char>(in)), {});
  std::srand(7);
  for (int round = 0; round < 300; ++round) {
    std::string damaged =
        whole.substr(0, round % 3 == 0 ? static_cast<size_t>(std::rand()) % whole.size() : whole.size());
    for (int i = 0; i < 6 && damaged.size() > 8; ++i)
      damaged[4 + static_cast<size_t>(std::rand()) % std::min<size_t>(damaged.size() - 4, 1500)] =
          static_cast<char>(std::rand());
    put("/work/damaged", damaged);
    (void)collect("/work/damaged");
  }
}

}  // namespace
}  // namespace ktstr
