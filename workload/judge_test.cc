// Reports against limits: what violates one, what cannot be told, who is compared with whom.
#include "workload/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

WorkerReportT worker(uint32_t index, WorkType work = WorkType::YieldHeavy) {
  WorkerReportT r;
  r.cgroup = "g";
  r.index = index;
  r.work = work;
  r.iterations = 1000;
  r.wall_ns = 2'000'000'000;
  r.run_ns = 1'000'000'000;
  return r;
}

WorkerStats folded(std::initializer_list<WorkerReportT> reports, const TestSpecT& spec = {}) {
  WorkerStats stats;
  stats.expect(spec);
  for (const WorkerReportT& report : reports) stats.fold(report);
  return stats;
}

Held held(const WorkerStats& stats, const Limits& limits, Limit limit) {
  const auto findings = judge_workers(stats.cgroups(), limits);
  const auto found =
      std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.limit == limit; });
  EXPECT_NE(found, findings.end()) << attribute_of(limit);
  return found == findings.end() ? Held::kUnknown : found->held;
}

// A messenger that hardly runs, and receivers that do the same.
WorkerReportT fan(uint32_t index, bool messenger, bool stated) {
  WorkerReportT r = worker(index, WorkType::FutexFanOut);
  if (messenger) r.iterations = 1, r.run_ns = 10'000'000;
  if (stated) r.messenger = messenger;
  return r;
}

TEST(Judge, AMessengerThatTheReportNamesIsLeftOutOfFairness) {
  // No spec says anything of them: workers of a test's body.
  const auto stats = folded({fan(0, true, true), fan(1, false, true), fan(2, false, true)});
  const Limits limits{.max_spread_pct = 15, .max_throughput_cv = 0.1};
  EXPECT_EQ(held(stats, limits, Limit::kSpread), Held::kHolds);
  EXPECT_EQ(held(stats, limits, Limit::kThroughput), Held::kHolds);
  EXPECT_EQ(held(folded({worker(0), fan(1, true, true)}), {.min_work_rate = 500}, Limit::kWorkRate),
            Held::kHolds)
      << "groups of their own";
}

TestSpecT one_fan_out() {
  TestSpecT spec;
  spec.cgroups.push_back(std::make_unique<CgroupSpecT>());
  spec.cgroups[0]->name = "g";
  spec.cgroups[0]->work = WorkType::FutexFanOut;
  spec.cgroups[0]->fan_out = 2;
  return spec;
}

// Told by its place in its own batch, whatever is before that in the cgroup.
TEST(Judge, AMessengerOfAnOlderLogIsToldByItsPlace) {
  const auto stats = folded({fan(1, true, false), fan(2, false, false), fan(3, false, false),
                             fan(4, true, false), fan(5, false, false), fan(6, false, false)},
                            one_fan_out());
  EXPECT_EQ(stats.cgroups()[0].rates, 4u);
  EXPECT_EQ(stats.cgroups()[0].throughput_cv(), 0);
  EXPECT_EQ(stats.cgroups()[0].spread_pct(), 0);
}

TEST(Judge, WhatAReportStatesGoesBeforeItsPlace) {
  // A body's own workers in a cgroup of the spec: other groups, other places.
  const auto stats = folded({fan(6, false, true), fan(7, true, true), fan(8, false, true)}, one_fan_out());
  EXPECT_EQ(stats.cgroups()[0].rates, 2u);
  EXPECT_EQ(stats.cgroups()[0].spread_pct(), 0);
}

TEST(Judge, NoProgressIsNoIterationOrForCustomWorkNoCpuTime) {
  auto starved = [](WorkType work, uint64_t iterations, uint64_t run_ns) {
    WorkerReportT r = worker(0, work);
    r.iterations = iterations;
    r.run_ns = run_ns;
    return held(folded({r}), {.not_starved = true}, Limit::kNotStarved);
  };
  EXPECT_EQ(starved(WorkType::CpuSpin, 0, 5), Held::kViolated);
  EXPECT_EQ(starved(WorkType::CpuSpin, 1, 0), Held::kHolds);
  EXPECT_EQ(starved(WorkType::Custom, 0, 5), Held::kHolds);
  EXPECT_EQ(starved(WorkType::Custom, 0, 0), Held::kViolated);
}

TEST(Judge, AWorkerThatHadToBeKilledIsStuckUnlessItIsAProgram) {
  auto stuck = [](WorkType work, bool function) {
    WorkerReportT r = worker(0, work);
    r.killed = true;
    r.function = function;
    return held(folded({r}), {.not_starved = true}, Limit::kStuck);
  };
  EXPECT_EQ(stuck(WorkType::CpuSpin, false), Held::kViolated);
  EXPECT_EQ(stuck(WorkType::Custom, true), Held::kViolated);
  EXPECT_EQ(stuck(WorkType::Custom, false), Held::kHolds);
}

TEST(Judge, AWorkerThatCouldNotDoItsWorkFailsNotStarvedWhateverElseItDid) {
  WorkerReportT refused = worker(1, WorkType::ForkExit);
  for (const auto& [error, count] : {std::pair{ENOMEM, 812}, {EAGAIN, 1}}) {
    refused.errors.push_back(std::make_unique<WorkerErrorT>());
    refused.errors.back()->what = "fork";
    refused.errors.back()->error = error;
    refused.errors.back()->count = static_cast<uint64_t>(count);
  }
  const auto stats = folded({worker(0, WorkType::ForkExit), refused});
  EXPECT_EQ(held(stats, {.not_starved = true}, Limit::kRefused), Held::kViolated);
  EXPECT_EQ(held(stats, {.not_starved = true}, Limit::kNotStarved), Held::kHolds);
  const CgroupStats& group = stats.cgroups()[0];
  EXPECT_EQ(group.refused, 1u);
  EXPECT_EQ(group.first_refused, 1u);
  EXPECT_EQ(
      group.refusals(),
      "fork failed 812 times with ENOMEM (Cannot allocate memory), fork failed once with EAGAIN (Resource "
      "temporarily unavailable)");
  EXPECT_EQ(held(folded({worker(0)}), {.not_starved = true}, Limit::kRefused), Held::kHolds);
}

TEST(Judge, RatesAreOfWorkersThatCountIterations) {
  WorkerReportT program = worker(0, WorkType::Custom), function = worker(1, WorkType::Custom);
  program.iterations = 0;
  program.cgroup = "p";
  const Limits limits{.min_work_rate = 2000};
  EXPECT_EQ(held(folded({program, worker(2)}), limits, Limit::kWorkRate), Held::kViolated);
  EXPECT_EQ(held(folded({program, function}), limits, Limit::kWorkRate), Held::kViolated);
  EXPECT_EQ(held(folded({program}), limits, Limit::kWorkRate), Held::kUnknown) << "nothing was measured";
}

TEST(Judge, AForkThatWasWaitedForIsNoWakeUp) {
  WorkerReportT r = worker(0, WorkType::ForkExit);
  r.wakeups = 5;  // counted, but no latency was measured
  EXPECT_EQ(held(folded({r}), {.max_p99_wake_latency_ns = 1}, Limit::kWakeP99), Held::kUnknown);
}

TEST(Judge, EveryLimitHasANameAndSaysObservedAndThreshold) {
  WorkerReportT slow = worker(1);
  slow.iterations = 500;
  slow.longest_gap_ns = 3'000'000'000;
  const WorkerStats stats = folded({worker(0), slow});
  const auto findings = judge_workers(stats.cgroups(), {.max_gap_ms = 1000, .time_scale = 2});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].held, Held::kViolated);
  EXPECT_EQ(attribute_of(findings[0].limit), "max_gap_ms");
  EXPECT_EQ(unit_of(findings[0].limit), "ms");
  EXPECT_EQ(findings[0].observed, 3000);
  EXPECT_EQ(findings[0].threshold, 1000);
  EXPECT_EQ(findings[0].worker, 1u);
  EXPECT_EQ(findings[0].group->name, "g");
}

}  // namespace
}  // namespace ktstr
