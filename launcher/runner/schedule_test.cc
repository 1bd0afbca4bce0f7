#include "launcher/runner/schedule.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

std::string words(const std::optional<TestRunId>& run) {
  return run ? std::to_string(run->test) + "." + std::to_string(run->round) + "." +
                   std::to_string(run->try_number)
             : "-";
}

TEST(Schedule, StartsAsManyAsThereAreJobs) {
  Schedule s({0, 1, 2}, {.jobs = 2});
  const auto first = s.next();
  EXPECT_EQ(words(first), "0.1.1");
  EXPECT_EQ(words(s.next()), "1.1.1");
  EXPECT_EQ(words(s.next()), "-");
  EXPECT_FALSE(s.ended(*first, ExitCode::kPass));
  EXPECT_EQ(words(s.next()), "2.1.1");
  EXPECT_FALSE(s.done());
}

TEST(Schedule, TriesAgainWhatFailedOrHadNoVerdictAndNothingElse) {
  for (ExitCode code : {ExitCode::kTestFailed, ExitCode::kInconclusive}) {
    Schedule s({0, 1}, {.retries = 2});
    EXPECT_TRUE(s.ended(*s.next(), code));
    const auto second = s.next();
    EXPECT_EQ(words(second), "0.1.2") << "before any other test";
    EXPECT_TRUE(s.ended(*second, code));
    EXPECT_FALSE(s.ended(*s.next(), code)) << "the third try is the last";
    EXPECT_EQ(words(s.next()), "1.1.1");
  }
  for (ExitCode code :
       {ExitCode::kInfrastructure, ExitCode::kUsage, ExitCode::kInterrupted, ExitCode::kPass}) {
    Schedule s({0}, {.retries = 2});
    EXPECT_FALSE(s.ended(*s.next(), code));
    EXPECT_TRUE(s.done());
  }
}

TEST(Schedule, FailFastLetsARetryDecideFirst) {
  Schedule s({0, 1, 2}, {.retries = 1, .fail_fast = true});
  EXPECT_TRUE(s.ended(*s.next(), ExitCode::kTestFailed));
  EXPECT_FALSE(s.ended(*s.next(), ExitCode::kPass)) << "flaky is a pass";
  EXPECT_TRUE(s.ended(*s.next(), ExitCode::kTestFailed));
  EXPECT_FALSE(s.ended(*s.next(), ExitCode::kTestFailed));
  EXPECT_EQ(words(s.next()), "-");
  EXPECT_TRUE(s.done());
  EXPECT_EQ(s.not_run(), 1u);
}

TEST(Schedule, UntilFailEndsTheRoundsOfTheTestThatFailed) {
  Schedule s({0, 1}, {.rounds = 3, .until_fail = true});
  EXPECT_FALSE(s.ended(*s.next(), ExitCode::kTestFailed));
  EXPECT_FALSE(s.ended(*s.next(), ExitCode::kPass));
  EXPECT_EQ(words(s.next()), "1.2.1");
  s.stop();
  EXPECT_EQ(words(s.next()), "-");
}

TEST(Schedule, RoundsComeInTurn) {
  Schedule s({4, 2}, {.jobs = 9, .rounds = 2});
  for (const char* expected : {"4.1.1", "2.1.1", "4.2.1", "2.2.1", "-"}) EXPECT_EQ(words(s.next()), expected);
  EXPECT_EQ(s.not_run(), 0u);
}

TEST(Schedule, AnInterruptedRunStartsNothingNotEvenARetry) {
  Schedule s({0, 1}, {.retries = 3});
  const auto run = s.next();
  s.stop();
  EXPECT_FALSE(s.ended(*run, ExitCode::kTestFailed));
  EXPECT_TRUE(s.done());
  EXPECT_EQ(s.not_run(), 1u);
}

}  // namespace
}  // namespace ktstr
