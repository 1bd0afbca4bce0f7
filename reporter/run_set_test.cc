#include "reporter/run_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/child.h"
#include "base/testing/temp_dir.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunFacts facts(const std::string& run, const std::string& name, Outcome outcome, uint32_t try_number = 1) {
  RunFacts f;
  f.run_id = run + "/" + name + (try_number > 1 ? ".try" + std::to_string(try_number) : "");
  f.name = name;
  f.file = "a.toml";
  f.line = 7;
  f.kernel = "7.3.4";
  f.try_number = try_number;
  f.finished = true;
  f.outcome = outcome;
  f.code = outcome == Outcome::Fail           ? ExitCode::kTestFailed
           : outcome == Outcome::Inconclusive ? ExitCode::kInconclusive
                                              : ExitCode::kPass;
  f.summary = outcome == Outcome::Pass ? "" : "it broke";
  f.text = outcome == Outcome::Pass ? "PASS " + name + "\n" : "BUG SUMMARY: it broke\n";
  f.json = "\"outcome\":\"" + std::string(outcome_name(outcome)) + "\"";
  return f;
}

TEST(RunSet, ATestThatPassesAtItsSecondTryIsFlakyInEveryForm) {
  RunSet set;
  set.add(facts("r1", "a", Outcome::Fail));
  set.add(facts("r1", "b", Outcome::Pass));
  set.add(facts("r1", "a", Outcome::Pass, 2));
  const auto tests = set.tests(false);
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[0].status(), TestStatus::kFlaky);
  EXPECT_EQ(tests[0].code(), ExitCode::kPass);
  EXPECT_THAT(
      render(Format::kSummary, tests),
      HasSubstr("FLAKY 2/2 a\n  TRY 1 FAILED: it broke\n2 passed, 0 failed, 1 of the passed flaky\n"));
  const std::string junit = render(Format::kJunit, tests);
  EXPECT_THAT(junit, HasSubstr("tests=\"2\" failures=\"0\" errors=\"0\""));
  EXPECT_THAT(junit, HasSubstr("<flakyFailure message=\"it broke\""));
  EXPECT_THAT(render(Format::kKtap, tests), HasSubstr("ok 1 a # FLAKY passed at try 2\nok 2 b\n"));
  EXPECT_THAT(render(Format::kGithub, tests),
              HasSubstr("::warning file=a.toml,line=7,title=ktstr%3A a::flaky: passed at try 2"));
  EXPECT_THAT(render(Format::kMarkdown, tests), HasSubstr("| flaky | a |"));
  const auto line = nlohmann::json::parse(render_json(tests[0]));
  EXPECT_EQ(line["status"], "flaky");
  EXPECT_EQ(line["outcome"], "pass");
  EXPECT_EQ(line["tries"][0]["outcome"], "fail");
}

TEST(RunSet, ATestThatFailsEachTryIsOneFailureWithItsReruns) {
  RunSet set;
  set.add(facts("r1", "a", Outcome::Fail, 2));  // logs come in the order of their paths
  set.add(facts("r1", "a", Outcome::Inconclusive));
  const auto tests = set.tests(false);
  ASSERT_EQ(tests.size(), 1u);
  EXPECT_EQ(tests[0].status(), TestStatus::kFail);
  const std::string junit = render(Format::kJunit, tests);
  EXPECT_THAT(junit, HasSubstr("tests=\"1\" failures=\"1\" errors=\"0\""));
  EXPECT_THAT(junit, HasSubstr("<rerunError message=\"it broke\""));
}

TEST(RunSet, RoundsAreTestsOfTheirOwn) {
  RunSet set;
  for (uint32_t round = 1; round <= 3; ++round) {
    RunFacts one = facts("r1", "a", round == 2 ? Outcome::Fail : Outcome::Pass);
    one.round = round;
    one.rounds = 3;
    set.add(std::move(one));
  }
  const auto tests = set.tests(false);
  ASSERT_EQ(tests.size(), 3u);
  EXPECT_EQ(tests[1].shown_name(), "a (round 2)");
  EXPECT_THAT(render(Format::kSummary, tests), HasSubstr("2 passed, 1 failed\n"));
}

constexpr char kPlan[] =
    R"({"version":1,"run_id":"r1","partition":"","tests":[{"name":"a","file":"a.toml","line":7,"kernel":"7.3.4"},
        {"name":"b","file":"a.toml","line":19,"kernel":"7.3.4"}]})";

TEST(RunSet, AMergeWithAPlannedTestThatNobodyRanIsNotGreen) {
  RunSet set;
  set.add(facts("r1", "a", Outcome::Pass));
  ASSERT_TRUE(set.add_plan(kPlan));
  const auto tests = set.tests(true);
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[1].status(), TestStatus::kNotRun);
  EXPECT_EQ(tests[1].code(), ExitCode::kInconclusive);
  EXPECT_THAT(render(Format::kSummary, tests),
              HasSubstr("NOT RUN b (a.toml:19)\n1 passed, 0 failed, 1 not run\n"));
  EXPECT_THAT(render(Format::kJunit, tests), HasSubstr("errors=\"1\""));
  EXPECT_THAT(render(Format::kKtap, tests), HasSubstr("not ok 2 b # NOT RUN"));
}

TEST(RunSet, WhatAKilledRunLeftCountsNotOnceItWasRunAgain) {
  RunSet set;
  RunFacts torn = facts("r1", "a", Outcome::Inconclusive);
  torn.finished = false;
  set.add(torn);
  ASSERT_TRUE(set.add_plan(kPlan));
  set.add(facts("r2", "a", Outcome::Pass));
  set.add(facts("r2", "b", Outcome::Pass));
  EXPECT_EQ(set.tests(false).size(), 4u);
  const auto tests = set.tests(true);
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[0].status(), TestStatus::kPass);
  EXPECT_EQ(set.superseded(), 2u);
}

TEST(RunSet, FinishedRunsOfOneTestInTwoRunsAreBothTold) {
  RunSet set;
  set.add(facts("r1", "a", Outcome::Fail));
  set.add(facts("r2", "a", Outcome::Pass));
  const auto tests = set.tests(true);
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[0].status(), TestStatus::kFail) << "a failure is never hidden by another run's pass";
}

TEST(RunSet, AFileThatIsNoPlanIsRefused) {
  RunSet set;
  EXPECT_FALSE(set.add_plan("{}"));
  EXPECT_FALSE(set.add_plan("not json"));
  EXPECT_FALSE(set.add_plan(R"({"run_id":"r","tests":[1]})"));
}

// By a tool that we did not write, against a schema made from what Jenkins and GitLab document (tests/formats/junit.xsd).
TEST(RunSet, JunitOfEveryStatusIsValidForJenkinsAndGitlab) {
  RunSet set;
  set.add(facts("r1", "good", Outcome::Pass));
  set.add(facts("r1", "bad & <ugly> \"\x02", Outcome::Fail));
  set.add(facts("r1", "odd", Outcome::Inconclusive));
  set.add(facts("r1", "not", Outcome::Skip));
  set.add(facts("r1", "flaky", Outcome::Fail));
  set.add(facts("r1", "flaky", Outcome::Inconclusive, 2));
  set.add(facts("r1", "flaky", Outcome::Pass, 3));
  set.add(facts("r1", "worse", Outcome::Inconclusive));
  RunFacts worse = facts("r1", "worse", Outcome::Fail, 2);
  worse.text = "\x01\x0b ]]> \xef\xbf\xbf \xed\xa0\x80 \xc3\x28 <!DOCTYPE x>&lt;";
  worse.start_unix_ns = 1'795'294'905'000'000'000;
  set.add(worse);
  ASSERT_TRUE(set.add_plan(kPlan));
  TempDirForTest dir;
  const auto lint = [&](const std::string& xml) {
    const std::string file = dir.write("junit.xml", xml);
    auto run = run_captured({.argv = {"xmllint", "--noout", "--schema", KTSTR_JUNIT_SCHEMA, file}},
                            std::chrono::milliseconds(60'000), true);
    return run ? run->exit.to_string() + ": " + run->out : run.error().message();
  };
  const std::string good = render(Format::kJunit, set.tests(false));
  EXPECT_THAT(lint(good), HasSubstr("exit code 0: ")) << good;
  EXPECT_THAT(lint(render(Format::kJunit, {})), HasSubstr("exit code 0: "));
  std::string damaged = good;
  damaged.replace(damaged.find("<flakyFailure"), 13, "<flakyfailure");
  EXPECT_THAT(lint(damaged), Not(HasSubstr("exit code 0: "))) << "the schema refuses what is not in it";
}

TEST(RunSet, XmlHoldsNoCharacterThatXmlCannot) {
  RunSet set;
  RunFacts bad = facts("r1", "a", Outcome::Fail);
  bad.text = "x\x01\x1b\xef\xbf\xbe\xff]]>&y";
  set.add(bad);
  EXPECT_THAT(render(Format::kJunit, set.tests(false)), HasSubstr(">x????]]&gt;&amp;y</failure>"));
}

}  // namespace
}  // namespace ktstr::testing
