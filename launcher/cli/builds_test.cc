#include "launcher/cli/builds.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

PlannedTest test(const char* file, const char* build) {
  PlannedTest planned;
  TestSpecT& spec = planned.test.spec;
  spec.file = file;
  spec.scheduler = std::make_unique<SchedulerSpecT>();
  spec.scheduler->name = "s";
  spec.scheduler->build = build;
  return planned;
}

TEST(Builds, EachCommandOfAFolderIsRunOnce) {
  TestPlan plan;
  plan.tests.push_back(test("a/x.toml", "make"));
  plan.tests.push_back(test("a/y.toml", "make"));
  plan.tests.push_back(test("b/x.toml", "make"));
  plan.tests.push_back(test("x.toml", "make all"));
  plan.tests.push_back(test("x.toml", ""));
  const auto steps = builds_of(plan);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].folder, "a");
  EXPECT_EQ(steps[1].folder, "b");
  EXPECT_EQ(steps[2].folder, ".");
  EXPECT_EQ(steps[2].command, "make all");
}

TEST(Builds, WhatIsNotRunOrNotTheSpecsIsNotBuilt) {
  TestPlan plan;
  plan.tests.push_back(test("x.toml", "make 1"));
  plan.tests.back().skip = "another kernel";
  plan.tests.push_back(test("x.toml", "make 2"));
  plan.tests.back().test.spec.scheduler->chosen_by = "KTSTR_SCHEDULER_S";
  plan.tests.push_back(test("x.toml", "make 3"));
  plan.tests.back().test.spec.body = "body";
  plan.tests.push_back({});
  EXPECT_TRUE(builds_of(plan).empty());
}

TEST(Builds, TheyRunInTheSpecsFolderAndTheFirstFailureStops) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("ktstr_builds_test." + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::vector<std::string> said;
  const auto built = run_builds({{"s", "echo \"it's $0\" > made", folder.string()},
                                 {"s", "echo no >&2; exit 3", folder.string()},
                                 {"s", "touch never", folder.string()}},
                                [&](const std::string& text) { said.push_back(text); });
  ASSERT_FALSE(built);
  EXPECT_NE(built.error().message().find("exit code 3"), std::string::npos) << built.error().message();
  EXPECT_TRUE(std::filesystem::exists(folder / "made"));
  EXPECT_FALSE(std::filesystem::exists(folder / "never"));
  EXPECT_EQ(said.size(), 2u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ktstr
