#include "launcher/runner/kept_runs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"
#include "launcher/runner/last_run.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

class KeptRuns : public testing::Test {
 protected:
  KeptRuns() { options_.state_home = dir_ / "."; }
  void add(const std::string& id) {
    fs::create_directories(dir_ / std::string("ktstr/runs/") + id + "/t");
    std::ofstream(dir_ / std::string("ktstr/runs/") + id + "/t/events.ktlog") << std::string(10'000, 'x');
  }
  std::string removed(const CleanRule& rule) {
    std::string out;
    for (const KeptRun& run : runs_to_remove(kept_runs(options_), rule)) out += run.id + " ";
    return out;
  }
  TempDirForTest dir_;
  FolderOptions options_;
};

TEST_F(KeptRuns, AreFoldersWithARunsNameNewestFirst) {
  add("20261121-210145-3f2a");
  add("20261122-210145-0000");
  add("notes");
  fs::create_directory_symlink(dir_ / ".", dir_ / "ktstr/runs/20261123-210145-0000");
  const auto runs = kept_runs(options_);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].id, "20261122-210145-0000");
  EXPECT_EQ(runs[1].unix_s, 1795294905u);
  EXPECT_GE(runs[1].bytes, 10'000u);
}

TEST_F(KeptRuns, CleanKeepsTheNewestTheYoungAndTheLive) {
  for (const char* id :
       {"20261121-000000-0001", "20261122-000000-0002", "20261123-000000-0003", "20261124-000000-0004"})
    add(id);
  const uint64_t now = kept_runs(options_).front().unix_s + 60;  // a minute after the newest
  EXPECT_EQ(removed({.keep = 2}), "20261122-000000-0002 20261121-000000-0001 ");
  EXPECT_EQ(removed({.keep = 2, .live = {"20261121-000000-0001"}}), "20261122-000000-0002 ");
  EXPECT_EQ(removed({.older_than_s = 2 * 86400, .now_unix_s = now}),
            "20261122-000000-0002 20261121-000000-0001 ");
  EXPECT_EQ(removed({.keep = 3, .older_than_s = 86400, .now_unix_s = now}), "20261121-000000-0001 ");
  EXPECT_EQ(removed({.keep = 0}).size(), 4 * 21u);
}

TEST_F(KeptRuns, AnAgeHasAUnit) {
  EXPECT_EQ(*parse_age("7d"), 7u * 86400);
  EXPECT_EQ(*parse_age("90m"), 5400u);
  for (const char* bad : {"", "7", "d", "-1d", "0d", "7 d", "99999999999d"})
    EXPECT_FALSE(parse_age(bad)) << bad;
}

TEST_F(KeptRuns, WhatFailedIsKnownInTheFolderWhereItFailed) {
  const LastRun here(options_, "/work/a"), elsewhere(options_, "/work/b");
  EXPECT_TRUE(here.failed().empty());
  ASSERT_TRUE(here.update(
      {.passed = {{"/s.toml", "good"}}, .not_passed = {{"/s.toml", "bad"}, {"/s.toml", "worse"}}}));
  EXPECT_EQ(here.failed().size(), 2u);
  EXPECT_TRUE(elsewhere.failed().empty());
  // A later run of one of them says nothing of the other.
  ASSERT_TRUE(here.update({.passed = {{"/s.toml", "bad"}}, .not_passed = {}}));
  EXPECT_EQ(here.failed(), (std::set<TestKey>{{"/s.toml", "worse"}}));
}

}  // namespace
}  // namespace ktstr
