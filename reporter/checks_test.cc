// Each check of a workload: what violates it, what it says, and when it cannot be told.
#include "reporter/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reporter/judge.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WorkerReportT worker(uint32_t index) {
  WorkerReportT r;
  r.cgroup = "cg_0";
  r.index = index;
  r.work = WorkType::YieldHeavy;
  r.iterations = 1000;
  r.wall_ns = 2'000'000'000;
  r.run_ns = 1'000'000'000;
  r.cpus = {0};
  r.migrations = 10;
  return r;
}

// A good run but for these workers (two are declared) and these further events.
class Story {
 public:
  Story() : run_("t", "demo") { run_.spec().enforce = false; }  // the monitor has tests of its own
  TestSpecT& spec() { return run_.spec(); }
  RunStartedT& started() { return run_.started(); }
  SyntheticRun& run() { return run_; }
  Judgement judge(std::vector<WorkerReportT> workers) {
    run_.boot();
    run_.attach("demo");
    run_.start_workload();
    for (auto& more : during_) more(run_);
    run_.advance_ms(2000);
    run_.finish_workload();
    for (auto& w : workers) run_.add(std::move(w));
    run_.power_off();
    run_.complete();
    return run_.report().judgement;
  }
  template <typename T>
  void during(T event) {
    auto shared = std::make_shared<T>(std::move(event));
    during_.push_back([shared](SyntheticRun& run) { run.add(std::move(*shared)); });
  }

 private:
  SyntheticRun run_;
  std::vector<std::function<void(SyntheticRun&)>> during_;
};

Judgement judged(const std::function<void(TestSpecT&)>& set, std::vector<WorkerReportT> workers) {
  Story story;
  set(story.spec());
  return story.judge(std::move(workers));
}

TEST(Checks, NothingIsWrongWithGoodWorkers) {
  Judgement j = judged(
      [](TestSpecT& s) {
        s.isolation = true;
        s.max_throughput_cv = 0.1f;
        s.min_work_rate = 900;
        s.min_iteration_rate = 400;
        s.max_migration_ratio = 0.02f;
        s.max_spread_pct = 15;
        s.max_gap_ns = 1;
      },
      {worker(0), worker(1)});
  EXPECT_EQ(j.outcome, Outcome::Pass) << j.summary;
}

TEST(Checks, EachViolationIsALineWithObservedAndAllowed) {
  auto slow = worker(1);
  slow.iterations = 500;
  slow.migrations = 100;
  slow.outside_cpus = {3};
  slow.cpuset = "0-1";
  slow.wake_max_ns = 9'000'000;
  slow.wake_p99_ns = 8'000'000;
  slow.wake_mean_ns = 1'000'000;
  slow.wake_stddev_ns = 3'000'000;
  Judgement j = judged(
      [](TestSpecT& s) {
        s.isolation = true;
        s.max_throughput_cv = 0.1f;
        s.min_work_rate = 900;
        s.min_iteration_rate = 400;
        s.max_migration_ratio = 0.02f;
        s.max_p99_wake_latency_ns = 5'000'000;
        s.max_wake_latency_cv = 2;
      },
      {worker(0), std::move(slow)});
  EXPECT_EQ(j.code, ExitCode::kTestFailed);
  EXPECT_EQ(j.reason, "7 checks failed");
  EXPECT_THAT(
      j.detail,
      ElementsAre("isolation: 1 of 2 workers of cg_0 ran outside of their cpuset (first: worker 1, CPUs 3; "
                  "allowed 0-1)",
                  "throughput: the workers of cg_0 differ by 0.333 (coefficient of variation of iterations "
                  "per CPU second), "
                  "allowed 0.100",
                  "work rate: worker 1 of cg_0 did 500.0 iterations per CPU second, wanted 900.0",
                  "iteration rate: worker 1 of cg_0 did 250.0 iterations per second, wanted 400.0",
                  "migration ratio: worker 1 of cg_0 migrated 0.2000 times per iteration, allowed 0.0200",
                  "wake latency: p99 of worker 1 of cg_0 was 8.0 ms, allowed 5.0 ms",
                  "wake latency: that of worker 1 of cg_0 varies by 3.000 (coefficient of variation), "
                  "allowed 2.000"));
}

TEST(Checks, WhatCannotBeToldIsNoPass) {
  auto idle = worker(1);
  idle.run_ns = 0;
  Judgement j = judged([](TestSpecT& s) { s.min_work_rate = 1; }, {worker(0), std::move(idle)});
  EXPECT_EQ(j.outcome, Outcome::Inconclusive);
  EXPECT_THAT(j.summary, HasSubstr("work rate: 1 of 2 workers of cg_0 have no CPU time on record"));
  j = judged([](TestSpecT& s) { s.max_p99_wake_latency_ns = 1; }, {worker(0), worker(1)});
  EXPECT_EQ(j.outcome, Outcome::Inconclusive);
  EXPECT_THAT(j.summary, HasSubstr("wake latency: no worker was woken"));
}

TEST(Checks, AGapIsMeasuredAgainstTheHost) {
  auto late = [] {
    auto w = worker(1);
    w.longest_gap_ns = 3'000'000'000;
    w.gap_cpu = 2;
    return w;
  };
  for (float scale : {1.0f, 2.0f}) {
    Story story;
    story.spec().max_gap_ns = 2'000'000'000;
    story.started().time_scale = scale;
    std::vector<WorkerReportT> workers;
    workers.push_back(worker(0));
    workers.push_back(late());
    EXPECT_EQ(story.judge(std::move(workers)).outcome, scale > 1 ? Outcome::Pass : Outcome::Fail);
  }
}

// The messenger of a fan-out does other work than its receivers: no unfairness.
TEST(Checks, SpreadComparesWorkersThatDoTheSame) {
  auto fan = [](uint32_t index, uint64_t run_ns) {
    auto w = worker(index);
    w.work = WorkType::FutexFanOut;
    w.run_ns = run_ns;
    return w;
  };
  auto story = [&](uint64_t last) {
    return judged(
        [](TestSpecT& s) {
          s.max_spread_pct = 15;
          s.cgroups[0]->work = WorkType::FutexFanOut;
          s.cgroups[0]->workers = 3;
          s.cgroups[0]->fan_out = 2;
        },
        {fan(0, 1'800'000'000), fan(1, 200'000'000), fan(2, last)});
  };
  EXPECT_EQ(story(200'000'000).outcome, Outcome::Pass);
  EXPECT_EQ(story(900'000'000).outcome, Outcome::Fail);
}

TEST(Checks, AWorkerThatDoesNotEndIsAFinding) {
  auto stuck = worker(1);
  stuck.killed = true;
  stuck.exit_code = 137;
  Judgement j = judged([](TestSpecT&) {}, {worker(0), std::move(stuck)});
  EXPECT_EQ(j.summary, "stuck: 1 of 2 workers of cg_0 did not end when asked, and were killed");
  EXPECT_EQ(j.detail.size(), 1u);
  auto broken = worker(1);
  broken.exit_code = 2;
  j = judged([](TestSpecT&) {}, {worker(0), std::move(broken)});
  EXPECT_EQ(j.summary, "workers: 1 of 2 workers of cg_0 ended with an error");
}

TEST(Checks, AMomentTellsNothingOfFairness) {
  auto unfair = [](uint64_t wall_ns) {
    auto busy = worker(0), idle = worker(1);
    busy.wall_ns = idle.wall_ns = wall_ns;
    busy.run_ns = wall_ns;
    idle.run_ns = wall_ns / 2;
    std::vector<WorkerReportT> both;
    both.push_back(std::move(busy));
    both.push_back(std::move(idle));
    return judged([](TestSpecT& s) { s.max_spread_pct = 15; }, std::move(both)).outcome;
  };
  EXPECT_EQ(unfair(200'000'000), Outcome::Pass);
  EXPECT_EQ(unfair(2'000'000'000), Outcome::Fail);
}

void add_payload(TestSpecT& spec, const std::string& name, int good = 0) {
  spec.payloads.push_back(std::make_unique<PayloadSpecT>());
  spec.payloads.back()->name = name;
  spec.payloads.back()->binary = name;
  spec.payloads.back()->exit_code = good;
}

PayloadExitedT exited(const std::string& name, int code, int signal = 0) {
  PayloadExitedT exit;
  exit.name = name;
  exit.exit_code = code;
  exit.signal = signal;
  exit.duration_ns = 1'500'000'000;
  return exit;
}

Judgement with_payload(int good, std::optional<PayloadExitedT> exit) {
  Story story;
  add_payload(story.spec(), "p", good);
  PayloadStartedT started;
  started.name = "p";
  started.argv = {"/ktstr/payload/p/prog", "-x"};
  story.during(std::move(started));
  PayloadLineT line;
  line.name = "p";
  line.text = "bad thing";
  story.during(std::move(line));
  if (exit) story.during(std::move(*exit));
  std::vector<WorkerReportT> workers;
  workers.push_back(worker(0));
  workers.push_back(worker(1));
  return story.judge(std::move(workers));
}

TEST(Checks, APayloadsExitCodeDecides) {
  EXPECT_EQ(with_payload(0, exited("p", 0)).outcome, Outcome::Pass);
  EXPECT_EQ(with_payload(3, exited("p", 3)).outcome, Outcome::Pass);
  Judgement j = with_payload(0, exited("p", 3));
  EXPECT_EQ(j.code, ExitCode::kTestFailed);
  EXPECT_EQ(j.summary, "payload p: exit code 3; its last line: bad thing");
  EXPECT_THAT(with_payload(0, exited("p", 0, 11)).summary, HasSubstr("payload p: killed by SIGSEGV"));
  auto stopped = exited("p", 0, 15);
  stopped.stopped = true;
  EXPECT_EQ(with_payload(0, std::move(stopped)).outcome, Outcome::Pass) << "ended with the workload";
  auto late = exited("p", 0, 9);
  late.timed_out = true;
  EXPECT_THAT(with_payload(0, std::move(late)).summary, HasSubstr("payload p: did not end within 1.500 s"));
  EXPECT_EQ(with_payload(0, std::nullopt).outcome, Outcome::Inconclusive) << "its end was not recorded";
}

Judgement with_check(const std::string& name, Outcome outcome, const char* no_skips = "") {
  Story story;
  if (*no_skips) story.run().environment("KTSTR_NO_SKIPS", no_skips);
  CheckReportedT check;
  check.name = name;
  check.outcome = outcome;
  check.observed = "3";
  check.threshold = "2";
  check.detail = "too many";
  check.file = "x.cc";
  check.line = 7;
  story.during(std::move(check));
  add_payload(story.spec(), "p");
  story.spec().payloads[0]->on_demand = true;
  std::vector<WorkerReportT> workers;
  workers.push_back(worker(0));
  workers.push_back(worker(1));
  return story.judge(std::move(workers));
}

TEST(Checks, TheBodysChecksCount) {
  EXPECT_EQ(with_check("fair", Outcome::Pass).outcome, Outcome::Pass);
  Judgement j = with_check("fair", Outcome::Fail);
  EXPECT_EQ(j.outcome, Outcome::Fail);
  EXPECT_EQ(j.summary, "check fair: observed 3, threshold 2, too many (x.cc:7)");
  EXPECT_EQ(with_check("fair", Outcome::Inconclusive).outcome, Outcome::Inconclusive);
  EXPECT_EQ(with_check("fair", Outcome::Skip).outcome, Outcome::Pass) << "one check of several";
  j = with_check("", Outcome::Skip);
  EXPECT_EQ(j.outcome, Outcome::Skip);
  EXPECT_EQ(j.code, ExitCode::kPass);
  EXPECT_EQ(j.summary, "too many");
  j = with_check("", Outcome::Skip, "1");
  EXPECT_EQ(j.outcome, Outcome::Fail);
  EXPECT_EQ(j.code, ExitCode::kTestFailed);
}

TEST(Checks, ABodyWithoutAResultHasNotPassed) {
  for (bool tells : {false, true}) {
    Story story;
    add_payload(story.spec(), "body");
    story.spec().body = "body";
    PayloadStartedT started;
    started.name = "body";
    story.during(std::move(started));
    CheckReportedT check;
    check.name = tells ? "" : "fair";
    check.outcome = Outcome::Pass;
    story.during(std::move(check));
    story.during(exited("body", 0));
    std::vector<WorkerReportT> workers;
    workers.push_back(worker(0));
    workers.push_back(worker(1));
    Judgement j = story.judge(std::move(workers));
    EXPECT_EQ(j.outcome, tells ? Outcome::Pass : Outcome::Inconclusive) << j.summary;
  }
}

TEST(Checks, WorkersOfAStepAreExpectedOnceTheyWereStarted) {
  for (bool fails : {false, true}) {
    Story story;
    story.spec().steps.push_back(std::make_unique<StepT>());
    story.spec().steps[0]->ops.push_back(std::make_unique<StepOpT>());
    StepOpT& spawn = *story.spec().steps[0]->ops[0];
    spawn.kind = OpKind::Spawn;
    spawn.group = std::make_unique<CgroupSpecT>();
    spawn.group->name = "late";
    spawn.group->workers = 3;
    OpAppliedT op;
    op.step = 1;
    op.op = "spawn late";
    if (fails) op.error = "fork: Resource temporarily unavailable";
    story.during(std::move(op));
    std::vector<WorkerReportT> workers;
    workers.push_back(worker(0));
    workers.push_back(worker(1));
    Judgement j = story.judge(std::move(workers));
    EXPECT_EQ(j.outcome, Outcome::Inconclusive);
    EXPECT_EQ(j.summary.find("3 of 5 workers did not report") != std::string::npos, !fails) << j.summary;
  }
}

TEST(Checks, AnOperationThatFailedLeavesNoVerdict) {
  for (bool fails : {false, true}) {
    Story story;
    story.spec().steps.push_back(std::make_unique<StepT>());
    story.spec().steps[0]->name = "squeeze";
    story.spec().steps[0]->ops.push_back(std::make_unique<StepOpT>());
    OpAppliedT op;
    op.step = 1;
    op.op = "set_cpuset cg_0 to 0";
    if (fails) op.error = "cgroup cg_0: write: No space left on device";
    story.during(std::move(op));
    std::vector<WorkerReportT> workers;
    workers.push_back(worker(0));
    workers.push_back(worker(1));
    Judgement j = story.judge(std::move(workers));
    EXPECT_EQ(j.outcome, fails ? Outcome::Inconclusive : Outcome::Pass);
    if (fails) {
      EXPECT_THAT(j.summary, HasSubstr("step 1: set_cpuset cg_0 to 0: cgroup cg_0: write: No space left"));
    }
  }
  Story lost;
  lost.spec().steps.push_back(std::make_unique<StepT>());
  lost.spec().steps[0]->ops.push_back(std::make_unique<StepOpT>());
  std::vector<WorkerReportT> workers;
  workers.push_back(worker(0));
  workers.push_back(worker(1));
  EXPECT_THAT(lost.judge(std::move(workers)).summary,
              HasSubstr("1 of 1 operations of the steps were not carried out"));
}

}  // namespace
}  // namespace ktstr::testing
