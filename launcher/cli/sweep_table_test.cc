#include "launcher/cli/sweep_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

template <typename T>
void add(SweepCell& cell, T payload, Vm vm = Vm::Primary) {
  fold(make_event({.run_id = "r", .source = "t", .vm = vm}, std::move(payload)), cell);
}

SweepCell started(const std::string& scheduler, const std::string& kernel, unsigned llcs) {
  RunStartedT run;
  run.spec = std::make_unique<TestSpecT>();
  run.spec->name = "t";
  run.spec->scheduler = std::make_unique<SchedulerSpecT>();
  run.spec->scheduler->name = scheduler;
  run.spec->topology = std::make_unique<TopologyT>();
  run.spec->topology->llcs = llcs;
  run.spec->topology->cores = 2;
  run.kernel = std::make_unique<KernelInfoT>();
  run.kernel->release = kernel;
  SweepCell cell;
  add(cell, std::move(run), Vm::Host);
  return cell;
}
void program(SweepCell& cell, const std::string& member, uint32_t insns) {
  BpfProgramT p;
  p.name = "x_" + member;
  p.tag = "0123456789abcdef";
  p.member = member;
  p.verified_insns = insns;
  add(cell, std::move(p));
}
void reach(SweepCell& cell, Stage stage) {
  StageReachedT s;
  s.stage = stage;
  add(cell, std::move(s));
}
void judge(SweepCell& cell, Outcome outcome, const std::string& summary, FailedStep step = FailedStep::None) {
  VerdictT v;
  v.outcome = outcome;
  v.failed_step = step;
  v.summary = summary;
  add(cell, std::move(v), Vm::Host);
}

TEST(SweepCells, TheFirstStepThatWasNotReachedFailed) {
  SweepCell refused = started("one", "7.3.4", 1);
  judge(refused, Outcome::Fail, "program 'enqueue' rejected: R1 invalid mem access");
  EXPECT_EQ(refused.word(), "verify");
  EXPECT_EQ(refused.topology, "1n1l2c1t");

  SweepCell left = started("one", "7.3.4", 1);
  reach(left, Stage::ProgramsSeen);
  judge(left, Outcome::Fail, "ops.init() failed");
  EXPECT_EQ(left.word(), "attach");

  SweepCell starved = started("one", "7.3.4", 1);
  reach(starved, Stage::ProgramsSeen);
  reach(starved, Stage::WorkloadStarted);
  judge(starved, Outcome::Fail, "cpu3/0 made no progress");
  EXPECT_EQ(starved.word(), "dispatch");

  SweepCell good = started("one", "7.3.4", 1);
  judge(good, Outcome::Pass, "");
  EXPECT_EQ(good.word(), "ok");
  EXPECT_TRUE(good.passed());
}

TEST(SweepCells, AWrongCommandLineIsNoFailureOfTheVerifier) {
  SweepCell usage = started("one", "7.3.4", 1);
  judge(usage, Outcome::Fail, "scheduler one ended before it attached: exit code 2", FailedStep::Start);
  EXPECT_EQ(usage.word(), "start");
  EXPECT_EQ(usage.verify, SweepStep::kUnknown);

  SweepCell refused = started("one", "7.3.4", 1);
  judge(refused, Outcome::Fail, "scheduler one did not load: R1 invalid mem access", FailedStep::Load);
  EXPECT_EQ(refused.word(), "verify");
  EXPECT_EQ(refused.start, SweepStep::kPassed);

  SweepCell ended = started("one", "7.3.4", 1);
  reach(ended, Stage::GuestFinished);
  judge(ended, Outcome::Fail, "scheduler one did not load: R1 invalid mem access", FailedStep::Load);
  EXPECT_EQ(ended.word(), "verify") << "the guest's last stage says nothing of the scheduler";

  SweepCell hung = started("one", "7.3.4", 1);
  judge(hung, Outcome::Fail, "scheduler one never attached", FailedStep::Attach);
  EXPECT_EQ(hung.word(), "attach") << "also where nobody saw its programs";
}

TEST(SweepCells, NoVerdictAccusesNoStep) {
  SweepCell lost = started("one", "7.3.4", 1);
  judge(lost, Outcome::Inconclusive, "the collector was lost");
  EXPECT_EQ(lost.word(), "no verdict");
  EXPECT_EQ(lost.verify, SweepStep::kUnknown);
  SweepCell cut = started("one", "7.3.4", 1);
  EXPECT_EQ(cut.word(), "no verdict") << "a log without an end";
  SweepCell skipped = started("one", "7.3.4", 1);
  TestSkippedT reason;
  reason.reason = "wants 4 CPUs or more, the VM has 2";
  add(skipped, std::move(reason), Vm::Host);
  EXPECT_EQ(skipped.word(), "skipped");
}

std::vector<SweepCell> sample() {
  std::vector<SweepCell> cells;
  for (unsigned llcs : {1u, 2u}) {
    SweepCell& cell = cells.emplace_back(started("one", "7.3.4", llcs));
    program(cell, "enqueue", 500 + llcs);
    program(cell, "dispatch", 30);
    judge(cell, Outcome::Pass, "");
  }
  SweepCell& bad = cells.emplace_back(started("two", "6.16.1", 1));
  program(bad, "enqueue", 7);
  reach(bad, Stage::ProgramsSeen);
  judge(bad, Outcome::Fail, "a | b");
  return cells;
}

TEST(SweepTable, ShowsInstructionsResultsAndWhatDidNotPass) {
  const std::string text = sweep_text(sample());
  EXPECT_THAT(text, HasSubstr("one: verified instructions\n"));
  EXPECT_THAT(text, HasSubstr("501..502"));
  EXPECT_THAT(text, HasSubstr("  dispatch  30"));
  EXPECT_THAT(text, HasSubstr("scheduler  kernel  1n1l2c1t  1n2l2c1t\n"));
  EXPECT_THAT(text, HasSubstr("one        7.3.4   ok        ok\n"));
  EXPECT_THAT(text, HasSubstr("two        6.16.1  attach    -\n"));
  EXPECT_THAT(text, HasSubstr("not passed\n  two on 6.16.1, 1n1l2c1t: attach: a | b\n"));
}

TEST(SweepTable, MarkdownAndJson) {
  EXPECT_THAT(sweep_markdown(sample()), HasSubstr("| two | 6.16.1 | attach | - |"));
  EXPECT_THAT(sweep_markdown(sample()), HasSubstr("**attach**: a \\| b"));
  const std::string json = sweep_json(sample());
  EXPECT_THAT(json, HasSubstr(R"("result":"attach","start":"passed","verify":"passed","attach":"failed",)"
                              R"("dispatch":"not reached")"));
  EXPECT_THAT(json, HasSubstr(R"("verified_insns":{"dispatch":30,"enqueue":501})"));
}

}  // namespace
}  // namespace ktstr
