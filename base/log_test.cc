#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

TEST(LogLevels, WarningsReachStderrAndInfoTheFileByDefault) {
  auto levels = parse_log_levels("", "monitor");
  ASSERT_TRUE(levels.ok());
  EXPECT_EQ(levels->stderr_level, LogLevel::kWarning);
  EXPECT_EQ(levels->file_level, LogLevel::kInfo);
}

TEST(LogLevels, AProcessHasItsOwnLevelWhateverTheOrder) {
  for (const char* value : {"info, monitor=debug", "monitor=debug,info,"}) {
    EXPECT_EQ(parse_log_levels(value, "monitor")->stderr_level, LogLevel::kDebug) << value;
    EXPECT_EQ(parse_log_levels(value, "monitor")->file_level, LogLevel::kDebug) << value;
    EXPECT_EQ(parse_log_levels(value, "launcher")->stderr_level, LogLevel::kInfo) << value;
  }
  EXPECT_EQ(parse_log_levels("monitor=debug", "reporter")->stderr_level, LogLevel::kWarning);
  EXPECT_EQ(parse_log_levels("off", "reporter")->file_level, LogLevel::kInfo) << "the file keeps its lines";
}

TEST(LogLevels, ATornValueNamesItsBadEntry) {
  auto torn = parse_log_levels("info,monitor=deb", "launcher");
  ASSERT_FALSE(torn.ok());
  EXPECT_NE(torn.error().to_string().find("\"monitor=deb\" is no level"), std::string::npos)
      << torn.error().to_string();
  EXPECT_FALSE(parse_log_levels("monitor=", "launcher").ok());
  EXPECT_FALSE(parse_log_levels(",", "launcher").ok());
  auto unknown = parse_log_levels("moniter=debug", "launcher");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().to_string().find("is no process"), std::string::npos);
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

class LogFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr_log_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A child, so that the log of this process stays as it is.
  template <typename F>
  pid_t in_child(F body) {
    pid_t pid = ::fork();
    if (pid == 0) {
      body();
      ::_exit(0);
    }
    return pid;
  }
  static void join(pid_t pid) {
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_EQ(status, 0);
  }

  fs::path folder_;
};

// Lines longer than stdio's buffer: a sink that writes a line in two calls fails here.
TEST_F(LogFile, TwoProcessesAppendWholeLines) {
  const std::string long_text(9000, 'x');
  std::vector<pid_t> children;
  for (const char* name : {"monitor", "collector"})
    children.push_back(in_child([&] {
      start_log({.process = name, .program = std::string("ktstr-") + name});
      log_beside(folder_ / "events.ktlog");
      for (int i = 0; i < 300; ++i) log_info(std::string(name) + long_text + "end");
    }));
  for (pid_t pid : children) join(pid);
  auto lines = lines_of(folder_ / "diagnostics.log");
  ASSERT_EQ(lines.size(), 600u);
  size_t monitor = 0;
  for (const std::string& line : lines) {
    const bool mine = line.find(" monitor ") != std::string::npos;
    monitor += mine;
    ASSERT_TRUE(line.ends_with((mine ? "monitor" : "collector") + long_text + "end")) << line.substr(0, 60);
    ASSERT_NE(line.find(" info "), std::string::npos) << line.substr(0, 60);
  }
  EXPECT_EQ(monitor, 300u);
}

TEST_F(LogFile, GuestTextCannotForgeLinesOrEscapes) {
  join(in_child([&] {
    start_log({.process = "collector", .program = "ktstr-collector"});
    log_beside(folder_ / "events.ktlog");
    log_info("said \x1b[2Jboo\r\nsecond");
    log_debug("not asked for");
  }));
  auto lines = lines_of(folder_ / "diagnostics.log");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find_first_of("\x1b\r"), std::string::npos);
  EXPECT_NE(lines[1].find(" collector "), std::string::npos) << "each line names its process";
}

TEST_F(LogFile, ABadValueIsOneWarning) {
  for (bool complain : {true, false}) {
    const fs::path out = folder_ / "stderr";
    join(in_child([&] {
      if (!std::freopen(out.c_str(), "w", stderr)) ::_exit(1);
      ::setenv("KTSTR_LOG", "loud", 1);
      start_log({.process = "launcher", .program = "ktstr-launch", .complain = complain});
    }));
    auto lines = lines_of(out);
    if (!complain) {
      EXPECT_TRUE(lines.empty());
      continue;
    }
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines[0], "ktstr-launch: KTSTR_LOG: \"loud\" is no level");
  }
}

}  // namespace
}  // namespace ktstr
