#include "launcher/run/live_runs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

TEST(LiveRuns, OnlyHeldFoldersCountAndNamesMayBeShortened) {
  char name[] = "/tmp/ktlive-XXXXXX";
  std::string root = mkdtemp(name);
  FolderOptions options{.runtime_dir = root};
  {
    auto a = BusFolder::create(options), b = BusFolder::create(options), silent = BusFolder::create(options);
    ASSERT_TRUE(a && b && silent);
    ASSERT_TRUE(
        announce_run({.run_id = "r1/crash", .bus_folder = a->path(), .log = "/a", .pid = 1, .start_ns = 10}));
    ASSERT_TRUE(
        announce_run({.run_id = "r1/stall", .bus_folder = b->path(), .log = "/b", .pid = 1, .start_ns = 20}));
    std::ofstream(silent->path() + "/run.json") << "{ half";
    auto runs = find_live_runs(options);
    ASSERT_EQ(runs.size(), 2u);
    EXPECT_EQ(runs[0].run_id, "r1/crash");
    auto latest = find_live_run(options, "latest");
    ASSERT_TRUE(latest);
    EXPECT_EQ(latest->log, "/b");
    auto part = find_live_run(options, "cra");
    ASSERT_TRUE(part);
    EXPECT_EQ(part->log, "/a");
    auto both = find_live_run(options, "r1");
    ASSERT_FALSE(both);
    EXPECT_NE(both.error().message().find("r1/stall"), std::string::npos);
  }
  EXPECT_FALSE(find_live_run(options, "latest")) << "ended runs are not live";
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace ktstr
