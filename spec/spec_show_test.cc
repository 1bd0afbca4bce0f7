#include "spec/spec_show.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktstr {
namespace {

using ::testing::HasSubstr;

TEST(SpecShowTest, EachValueNamesItsLayer) {
  auto tests = parse_tests(
      "[default]\nmemory_mb = 512\n[scheduler.demo]\nbinary = \"scx_demo\"\nargs = [\"-n\", \"two words\"]\n"
      "duration_s = 0.5\n[[test]]\nname = \"crash\"\nscheduler = \"demo\"\nexpect_err = true\n"
      "expect_scx_bpf_error_matches = 'a\\d'\n[[test.cgroup]]\nname = \"g\"\nwork = \"Bursty\"\nburst_ms = "
      "0.25\n",
      "a.toml", {});
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  std::string shown = show_test(tests->at(0));
  EXPECT_THAT(shown, HasSubstr("crash  a.toml:7\nscheduler demo: scx_demo -n \"two words\"\n"));
  EXPECT_THAT(shown, HasSubstr("  memory_mb                    = 512     a.toml:2 [default]\n"));
  EXPECT_THAT(shown, HasSubstr("  duration_s                   = 0.5     a.toml:6 [scheduler.demo]\n"));
  EXPECT_THAT(shown, HasSubstr("  expect_err                   = true    a.toml:10 [[test]]\n"));
  EXPECT_THAT(shown, HasSubstr("  expect_scx_bpf_error_matches = \"a\\\\d\"  a.toml:11 [[test]]\n"));
  EXPECT_THAT(shown, HasSubstr("  auto_repro                   = true    built in\n"));
  EXPECT_THAT(shown, ::testing::Not(HasSubstr("expect_scx_bpf_error_contains"))) << "not set: not shown";
  EXPECT_THAT(shown, HasSubstr("cgroup g: 1 worker, Bursty (burst 0.25 ms, pause 5 ms), CPUs all\n"));
}

TEST(SpecShowTest, WithoutAScheduler) {
  auto tests = parse_tests("[[test]]\nname = \"x\"\n", "a.toml", {});
  ASSERT_TRUE(tests.ok());
  EXPECT_THAT(show_test(tests->at(0)), HasSubstr("scheduler none: the kernel's own\n"));
}

}  // namespace
}  // namespace ktstr
