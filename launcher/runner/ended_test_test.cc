#include "launcher/runner/ended_test.h"

#include <gtest/gtest.h>

#include "launcher/cli/run_end.h"
#include "schemas/common_generated.h"

namespace ktstr {
namespace {

TestTry one_try(ExitCode code, const std::string& summary = "") {
  RunOutcome r;
  r.code = code;
  r.outcome = code == ExitCode::kPass         ? Outcome::Pass
              : code == ExitCode::kTestFailed ? Outcome::Fail
                                              : Outcome::Inconclusive;
  r.summary = summary;
  r.log = "/out/t/events.ktlog";
  r.rerun = "ktstr-launch run t";
  return {.result = r, .duration_ns = 1'000'000'000};
}

// Wilson's interval, the numbers by R's binom.wilson().
TEST(FailureRate, HasWilsonsInterval) {
  const FailureRate rate = failure_rate(7, 20, 0);
  EXPECT_NEAR(rate.low, 0.1812, 0.0005);
  EXPECT_NEAR(rate.high, 0.5671, 0.0005);
  EXPECT_EQ(failure_rate(0, 10, 0).low, 0);
  EXPECT_NEAR(failure_rate(0, 10, 0).high, 0.2775, 0.0005);
  EXPECT_EQ(failure_rate(10, 10, 0).high, 1);
  EXPECT_EQ(failure_rate(0, 0, 3).high, 1) << "nothing is known";
}

TEST(RunEnd, ARepeatedTestHasARateAndItsSignaturesAreCounted) {
  std::vector<EndedTest> tests;
  for (uint32_t round = 1; round <= 20; ++round) {
    EndedTest test{.name = "t", .round = round};
    test.tries.push_back(one_try(round <= 7 ? ExitCode::kTestFailed : ExitCode::kPass));
    if (round <= 5) test.tries.back().result.signature = "0x401 common";
    if (round > 5 && round <= 7) test.tries.back().result.summary = "rare";
    tests.push_back(std::move(test));
  }
  EXPECT_EQ(repeat_text(tests),
            "t: 7 of 20 rounds failed: 35.0 % (95 % interval: 18.1 to 56.7 %)\n  5 times: 0x401 common\n  2 "
            "times: rare\n");
}

TEST(RunEnd, AFlakyTestPassedAndItsFailedTriesAreShown) {
  EndedTest flaky{.name = "t"};
  flaky.tries = {one_try(ExitCode::kTestFailed, "it broke"), one_try(ExitCode::kPass)};
  EXPECT_EQ(flaky.code(false), ExitCode::kPass);
  EndedTest good{.name = "u"};
  good.tries = {one_try(ExitCode::kPass)};
  const std::string text = run_end_text({flaky, good}, {});
  EXPECT_NE(text.find("FLAKY 2/2 t\n  TRY 1 FAILED: it broke\n"), text.npos) << text;
  EXPECT_NE(text.find("2 passed, 0 failed, 1 of the passed flaky\n"), text.npos) << text;
}

TEST(RunEnd, SlowTestsAndTestsThatWereNotRunAreSaid) {
  EndedTest slow{.name = "t", .slow = true};
  slow.tries = {one_try(ExitCode::kPass)};
  const std::string text = run_end_text({slow}, {.not_run = 2});
  EXPECT_NE(text.find("SLOW t: 1.0 s\n"), text.npos) << text;
  EXPECT_NE(text.find("1 passed, 0 failed, 2 not run\n"), text.npos) << text;
}

}  // namespace
}  // namespace ktstr
