#include "launcher/cli/run_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/temp_dir.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/spec_files.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSpec[] =
    "[[test]]\nname = \"a\"\n[[test]]\nname = \"b\"\n[test.matrix]\ncores = [2, 4]\n"
    "[[test]]\nname = \"old\"\nkernel = \"6.16\"\nmemory_mb = 4096\n";

Result<KernelInfoT> resolve(const std::string& wish) {
  if (wish == "9.9")
    return Error::not_found("kernel 9.9: not cached").with_hint("ktstr-launch kernel fetch 9.9");
  KernelInfoT kernel;
  kernel.release = (wish.empty() ? "7.3" : wish) + ".4-cloud";
  return kernel;
}

std::vector<std::string> plan(std::vector<std::string> kernels, const std::string& filter = "",
                              uint64_t memory = 0) {
  auto tests = parse_tests(kSpec, "a.toml", {});
  EXPECT_TRUE(tests.ok());
  std::optional<Filter> parsed;
  if (!filter.empty()) parsed = *Filter::parse(filter);
  auto plan = plan_tests({.tests = std::move(*tests),
                          .kernels = std::move(kernels),
                          .filter = parsed ? &*parsed : nullptr,
                          .host_memory_mb = memory,
                          .resolve = resolve});
  if (!plan) return {plan.error().message()};
  std::vector<std::string> out;
  for (const auto& t : plan->tests)
    out.push_back(t.test.spec.name + " on " + plan->kernels[t.kernel].release +
                  (t.skip.empty() ? "" : " skip: " + t.skip));
  return out;
}

TEST(TestPlan, OneKernelForAllButThoseThatSayTheirs) {
  EXPECT_THAT(plan({}), ElementsAre("a on 7.3.4-cloud", "b[cores=2] on 7.3.4-cloud",
                                    "b[cores=4] on 7.3.4-cloud", "old on 6.16.4-cloud"));
  EXPECT_THAT(plan({"6.18"}, "test(=a) or test(old)"),
              ElementsAre("a on 6.18.4-cloud", "old on 6.16.4-cloud"));
}

TEST(TestPlan, SeveralKernelsAreAnAxisOfTheMatrix) {
  EXPECT_THAT(plan({"7.3", "6.18"}),
              ElementsAre("a[kernel=7.3] on 7.3.4-cloud", "a[kernel=6.18] on 6.18.4-cloud",
                          "b[cores=2,kernel=7.3] on 7.3.4-cloud", "b[cores=2,kernel=6.18] on 6.18.4-cloud",
                          "b[cores=4,kernel=7.3] on 7.3.4-cloud", "b[cores=4,kernel=6.18] on 6.18.4-cloud",
                          "old on 6.16.4-cloud"));
  EXPECT_THAT(plan({"7.3", "6.18"}, "kernel(6.18) and test(=b[cores=4,kernel=6.18])"),
              ElementsAre("b[cores=4,kernel=6.18] on 6.18.4-cloud"));
  EXPECT_THAT(
      plan({"7.3", "/boot/my kernel"}, "test(a)"),
      ElementsAre("a[kernel=7.3] on 7.3.4-cloud", "a[kernel=_boot_my_kernel] on /boot/my kernel.4-cloud"));
}

TEST(TestPlan, AMissingKernelMattersWhenATestWantsIt) {
  EXPECT_THAT(plan({"9.9"}, "test(old)"), ElementsAre("old on 6.16.4-cloud"));
  EXPECT_THAT(plan({"9.9"}), ElementsAre("kernel 9.9: not cached\n  hint: ktstr-launch kernel fetch 9.9"));
  auto tests = parse_tests("[[test]]\nname = \"x\"\nkernel = \"9.9\"\n", "b.toml", {});
  auto plan = plan_tests({.tests = std::move(*tests), .kernels = {}, .resolve = resolve});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message(), HasSubstr("b.toml:1: kernel = \"9.9\": kernel 9.9: not cached"));
  tests = parse_tests("[[test]]\nname = \"x\"\nkernel = \"6.16\"\n", "b.toml", {});
  plan = plan_tests({.tests = std::move(*tests), .kernels = {"7.3"}, .resolve = resolve});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->kernels.at(0).origin, "the spec's kernel = \"6.16\"");
}

TEST(TestPlan, AHostThatIsTooSmallSkips) {
  EXPECT_THAT(plan({}, "test(old)", 2000),
              ElementsAre("old on 6.16.4-cloud skip: needs 4096 MB of memory, this host has 2000"));
}

TEST(TestPlan, AKernelThatTheTestDoesNotWantSkips) {
  auto tests = parse_tests("[[test]]\nname = \"x\"\nkernels = [\">=6.18\", \"<7.3\"]\n", "b.toml", {});
  auto plan =
      plan_tests({.tests = std::move(*tests), .kernels = {"6.16", "6.18", "7.3"}, .resolve = resolve});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->tests.size(), 3u);
  EXPECT_EQ(plan->tests[0].skip, "wants a kernel >=6.18, this is 6.16.4-cloud");
  EXPECT_EQ(plan->tests[1].skip, "");
  EXPECT_EQ(plan->tests[2].skip, "wants a kernel <7.3, this is 7.3.4-cloud");
}

TEST(SpecFiles, AFolderStandsForItsSpecs) {
  TempDirForTest dir;
  dir.write("specs/b.toml", "# c\n  [[test]]\nname = \"b\"\n");
  dir.write("specs/sub/a.toml", "[scheduler.x]\nbinary = \"x\"\n[[test]]\nname = \"a\"\n");
  dir.write("specs/pyproject.toml", "[project]\nname = \"p\"\n");
  dir.write("specs/.hidden/c.toml", "[[test]]\nname = \"c\"\n");
  auto tests = load_all_tests({dir / "specs"}, {});
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  ASSERT_EQ(tests->size(), 2u);
  EXPECT_EQ((*tests)[0].spec.name, "b");
  EXPECT_EQ((*tests)[1].spec.name, "a");
  dir.write("empty/x.txt", "");
  EXPECT_THAT(load_all_tests({dir / "empty"}, {}).error().message(), HasSubstr("no spec in this folder"));
  EXPECT_FALSE(load_all_tests({dir / "gone"}, {}).ok());
}

EndedTest ended(const std::string& name, ExitCode code, Outcome outcome) {
  EndedTest test{.name = name};
  RunOutcome r = {.code = code,
                  .outcome = outcome,
                  .log = "/o/" + name + "/l",
                  .report = "/o/" + name + "/r",
                  .summary = "what happened",
                  .rerun = "ktstr-launch run x",
                  .signature = code == ExitCode::kTestFailed ? "0x401 sig" : ""};
  test.tries.push_back({.result = r});
  return test;
}

TEST(RunEnd, EachFailureHasSignatureFilesAndRerunCommand) {
  std::vector<EndedTest> tests = {ended("good", ExitCode::kPass, Outcome::Pass),
                                  ended("bad", ExitCode::kTestFailed, Outcome::Fail),
                                  ended("odd", ExitCode::kInconclusive, Outcome::Inconclusive),
                                  ended("not", ExitCode::kPass, Outcome::Skip),
                                  {.name = "big", .skip = "needs more"}};
  EXPECT_EQ(
      run_end_text(tests, {}),
      "\nFAILED bad: what happened\n  signature: 0x401 sig\n  report: /o/bad/r\n  log: /o/bad/l\n"
      "  rerun: ktstr-launch run x\n"
      "NO VERDICT odd: what happened\n  report: /o/odd/r\n  log: /o/odd/l\n  rerun: ktstr-launch run x\n"
      "SKIPPED not: what happened\nSKIPPED big: needs more\n"
      "1 passed, 1 failed, 1 without a verdict, 2 skipped\n"
      "log: /o/good/l\nlog: /o/not/l\n");
  EXPECT_THAT(run_end_text(tests, {.no_skips = true}),
              HasSubstr("FAILED big: needs more (--no-skips)\n1 passed, 2 failed"));
  EXPECT_EQ(run_end_text({ended("bad", ExitCode::kTestFailed, Outcome::Fail)}, {}),
            "report: /o/bad/r\nlog: /o/bad/l\nrerun: ktstr-launch run x\n");
}

}  // namespace
}  // namespace ktstr
