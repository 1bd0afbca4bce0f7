// Checks of the workload, expected errors and their pins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "reporter/judge.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Judge, PanicIsNoPassEvenWhenExpected) {
  SyntheticRun run;
  run.spec().expect_err = true;
  run.boot();
  run.attach("demo");
  run.start_workload();
  CrashDetectedT panic;
  panic.kind = CrashKind::KernelPanic;
  panic.message = "Fatal exception in interrupt";
  run.add(std::move(panic));
  run.vm_end(VmEnd::Died);
  run.complete();
  EXPECT_EQ(FailureKind::kKernelPanic, verdict(run).kind);
  EXPECT_EQ(Outcome::Fail, verdict(run).outcome);
  EXPECT_THAT(verdict(run).summary, StartsWith("kernel panic: Fatal exception"));
}

TEST(Judge, StarvedWorker) {
  SyntheticRun run("steady", "good");
  run.boot();
  run.attach("good");
  run.start_workload();
  run.finish_workload();
  run.report_workers(0);  // worker 0 has no iteration, worker 1 has one
  run.power_off();
  run.complete();
  EXPECT_EQ("starved: 1 of 2 workers of cg_0 made no progress (first: worker 0)", verdict(run).summary);
  EXPECT_EQ(ExitCode::kTestFailed, verdict(run).code);
  SyntheticRun lenient("steady", "good");
  lenient.spec().not_starved = false;
  lenient.boot();
  lenient.attach("good");
  lenient.finish_workload();
  lenient.report_workers(0);
  lenient.power_off();
  lenient.complete();
  EXPECT_EQ(ExitCode::kPass, verdict(lenient).code);
}

TEST(Judge, GapAndSpread) {
  for (auto [gap_ms, spread, violations] : {std::tuple{0, 0, 0}, {50, 15, 0}, {35, 15, 1}, {35, 5, 2}}) {
    SyntheticRun run("steady", "good");
    run.spec().max_gap_ns = static_cast<uint64_t>(gap_ms) * 1'000'000;
    run.spec().max_spread_pct = static_cast<float>(spread);
    run.boot();
    run.attach("good");
    run.start_workload();
    run.finish_workload();
    run.report_workers();  // gaps 30 and 40 ms, 40% and 50% of the time
    run.power_off();
    run.complete();
    EXPECT_EQ(static_cast<size_t>(violations), verdict(run).detail.size());
    EXPECT_EQ(violations ? ExitCode::kTestFailed : ExitCode::kPass, verdict(run).code);
  }
}

TEST(Judge, MissingWorkerReportsAreInconclusive) {
  SyntheticRun run("steady", "good");
  run.boot();
  run.attach("good");
  run.start_workload();
  run.finish_workload();
  run.power_off();
  run.complete();
  EXPECT_EQ(ExitCode::kInconclusive, verdict(run).code);
}

struct PinCase {
  const char* contains;
  const char* matches;
  Outcome outcome;
};

TEST(Judge, PinsNarrowTheExpectedError) {
  const PinCase cases[] = {
      {"", "", Outcome::Pass},
      {"budget of 500 enqueues", "", Outcome::Pass},
      {"", "budget of \\d+ enqueues", Outcome::Pass},
      {"[demo] attached", "SCX_EV_SUB_RESCUE", Outcome::Pass},  // log and dump are one corpus
      {"budget of 500 enqueues", "no such cell", Outcome::Fail},
      {"no such cell", "", Outcome::Fail},
      {"", "^\\[demo\\] attached", Outcome::Pass},  // the corpus begins with the log
  };
  for (const PinCase& c : cases) {
    SyntheticRun run;
    run.spec().expect_err = true;
    run.spec().expect_scx_bpf_error_contains = c.contains;
    run.spec().expect_scx_bpf_error_matches = c.matches;
    SyntheticRun::add_demo_crash(run);
    run.add(FactsCompletedT{}, Vm::Host);
    EXPECT_EQ(c.outcome, verdict(run).outcome) << c.contains << " / " << c.matches;
  }
}

TEST(Judge, ExpectedErrorThatDoesNotHappen) {
  SyntheticRun run("steady", "good");
  run.spec().expect_err = true;
  run.boot();
  run.attach("good");
  run.start_workload();
  run.finish_workload();
  run.report_workers();
  run.power_off();
  run.complete();
  EXPECT_EQ(ExitCode::kTestFailed, verdict(run).code);
  EXPECT_THAT(verdict(run).summary, HasSubstr("did not happen"));
  EXPECT_THAT(verdict(run).detail, ::testing::Contains(HasSubstr("bug is fixed")));
}

TEST(Judge, AFailedCheckIsNotTheExpectedError) {
  for (const char* pin : {"", "[good] attached"}) {
    SyntheticRun run("steady", "good");
    run.spec().expect_err = true;
    run.spec().expect_scx_bpf_error_contains = pin;
    run.boot();
    run.attach("good");
    run.scheduler_output({"[good] attached"});
    run.start_workload();
    run.finish_workload();
    run.report_workers(0);  // starved
    run.power_off();
    run.complete();
    const Judgement j = verdict(run);
    EXPECT_EQ(FailureKind::kWorkload, j.kind) << pin;
    EXPECT_EQ(ExitCode::kTestFailed, j.code) << pin;
    EXPECT_EQ(Outcome::Fail, j.outcome) << pin;
    EXPECT_THAT(j.summary, StartsWith("starved:")) << pin;
    EXPECT_THAT(j.detail, ::testing::Contains(HasSubstr("the scheduler ran to the end"))) << pin;
  }
}

TEST(Judge, AMissedPinSaysWhatItLooksLike) {
  SyntheticRun run;
  run.spec().expect_err = true;
  run.spec().expect_scx_bpf_error_contains = "budget of 700 enqueues spent";
  SyntheticRun::add_demo_crash(run);
  run.add(FactsCompletedT{}, Vm::Host);
  const Judgement j = verdict(run);
  EXPECT_EQ(Outcome::Fail, j.outcome);
  EXPECT_THAT(j.detail,
              ::testing::Contains(::testing::AllOf(HasSubstr("error text drifted"), HasSubstr("nearest text"),
                                                   HasSubstr("budget of 500 enqueues spent"))));
}

TEST(Judge, APinnedTextFromAnEmulatorArtefactIsNoPass) {
  SyntheticRun run("pinned", "demo");
  run.spec().expect_err = true;
  run.spec().expect_scx_bpf_error_contains = "enqueued";
  run.boot();
  run.attach("demo");
  run.start_workload();
  SchedulerLineT line;
  line.text = "[demo] enqueued=3";
  run.add(std::move(line));
  CrashDetectedT crash;
  crash.kind = CrashKind::KernelOops;
  crash.reason = "Oops";
  crash.artefact = "int3 in kernel text";
  run.add(std::move(crash));
  run.power_off();
  run.complete();
  const Judgement j = verdict(run);
  EXPECT_EQ(ExitCode::kInconclusive, j.code) << j.summary;
  EXPECT_THAT(j.detail, ::testing::Contains(HasSubstr("not a pass")));
}

// Every fork is refused while the scheduler is attached: that is a failure, and not one of this host.
TEST(Judge, ASchedulerUnderWhichNothingCanBeForkedFailsTheTest) {
  const auto failed_with = [](int fork_error) {
    SyntheticRun run("no_fork", "x");
    run.boot();
    run.attach("x");
    GuestFailedT failed;
    failed.stage = Stage::WorkloadStarted;
    failed.error = "workload: fork worker cg_0/0 into its cgroup: Cannot allocate memory";
    failed.fork_error = fork_error;
    run.add(std::move(failed));
    run.detach("x");  // init asked it to end
    SchedulerExitedT exit;
    exit.attached = exit.requested = true;
    run.add(std::move(exit));
    run.power_off();
    run.complete();
    return verdict(run);
  };
  const Judgement refused = failed_with(ENOMEM);
  EXPECT_EQ(ExitCode::kTestFailed, refused.code) << refused.summary;
  EXPECT_THAT(refused.summary, HasSubstr("under scheduler x the kernel refuses forks with ENOMEM"));
  EXPECT_EQ(ExitCode::kInfrastructure, failed_with(0).code);
}

}  // namespace
}  // namespace ktstr::testing
