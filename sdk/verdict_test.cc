// An Assert of a body and a declared check of the same limit give the same verdict on the same workers.
#include <gtest/gtest.h>

#include "reporter/judge.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "sdk/body_context.h"
#include "sdk/work.h"
#include "workload/worker_report.h"

namespace ktstr {
namespace {

WorkerReportT report(uint32_t index, WorkType work) {
  WorkerReportT r;
  r.cgroup = "cg_0";
  r.index = index;
  r.work = work;
  r.function = work == WorkType::Custom;
  r.messenger = false;
  r.iterations = 1000;
  r.wall_ns = 2'000'000'000;
  r.run_ns = 1'000'000'000;
  return r;
}

struct Case {
  const char* what;
  WorkerReportT first, second;
  std::function<void(TestSpecT&)> declare;
  Assert wanted;
  Outcome outcome;
};

Outcome declared(const Case& c) {
  testing::SyntheticRun run("t", "demo");
  TestSpecT& spec = run.spec();
  spec.enforce = false;  // the monitor's checks are not asked
  spec.not_starved = false;
  spec.max_gap_ns = 0;
  spec.max_spread_pct = 0;
  spec.cgroups[0]->work = c.first.work;
  spec.cgroups[0]->fan_out = 1;
  c.declare(spec);
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.advance_ms(2000);
  run.finish_workload();
  run.add(WorkerReportT(c.first));
  run.add(WorkerReportT(c.second));
  run.power_off();
  run.complete();
  return run.report().judgement.outcome;
}

Outcome asserted(const Case& c) {
  TestContext ctx(std::make_unique<TestContext::Impl>());
  switch (c.wanted.judge(ctx, {{result_of(c.first), result_of(c.second)}}).verdict) {
    case TestVerdict::kPass:
      return Outcome::Pass;
    case TestVerdict::kFail:
      return Outcome::Fail;
    default:
      return Outcome::Inconclusive;
  }
}

std::vector<Case> cases() {
  const Assert& a = Assert::NO_OVERRIDES;
  auto starved = [](TestSpecT& s) { s.not_starved = true; };
  std::vector<Case> all;
  auto add = [&](const char* what, WorkType work, const std::function<void(WorkerReportT&)>& change,
                 std::function<void(TestSpecT&)> declare, Assert wanted, Outcome outcome) {
    WorkerReportT first = report(0, work);
    change(first);
    all.push_back({what, first, report(1, work), std::move(declare), std::move(wanted), outcome});
  };
  // The four on which the two copies of the rules disagreed.
  auto messenger = [](WorkerReportT& r) {
    r.messenger = true;
    r.run_ns = 100'000'000;
    r.iterations = 1;
  };
  add(
      "a messenger does other work", WorkType::FutexFanOut, messenger,
      [](TestSpecT& s) { s.max_spread_pct = 15; }, a.max_spread_pct(15), Outcome::Pass);
  add(
      "a messenger has another throughput", WorkType::FutexFanOut, messenger,
      [](TestSpecT& s) { s.max_throughput_cv = 0.1f; }, a.max_throughput_cv(0.1), Outcome::Pass);
  auto killed = [](WorkerReportT& r) {
    r.killed = true;
    r.exit_code = 137;
  };
  add("a worker had to be killed", WorkType::CpuSpin, killed, starved, a.not_starved(), Outcome::Fail);
  add("a function had to be killed", WorkType::Custom, killed, starved, a.not_starved(), Outcome::Fail);
  add(
      "Custom work that counts nothing, but ran", WorkType::Custom, [](auto& r) { r.iterations = 0; },
      starved, a.not_starved(), Outcome::Pass);
  add(
      "Custom work without CPU time", WorkType::Custom, [](auto& r) { r.run_ns = 0; }, starved,
      a.not_starved(), Outcome::Fail);
  add(
      "wake-ups whose latency nobody measured", WorkType::ForkExit, [](auto& r) { r.wakeups = 9; },
      [](TestSpecT& s) { s.max_p99_wake_latency_ns = 5; }, a.max_p99_wake_latency_ns(5),
      Outcome::Inconclusive);
  add(
      "a slow function", WorkType::Custom, [](auto& r) { r.iterations = 10; },
      [](TestSpecT& s) { s.min_work_rate = 500; }, a.min_work_rate(500), Outcome::Fail);
  // And some on which they agreed.
  add(
      "no iteration", WorkType::CpuSpin, [](auto& r) { r.iterations = 0; }, starved, a.not_starved(),
      Outcome::Fail);
  add(
      "a long gap", WorkType::CpuSpin, [](auto& r) { r.longest_gap_ns = 3'000'000'000; },
      [](TestSpecT& s) { s.max_gap_ns = 2'000'000'000; }, a.max_gap_ms(2000), Outcome::Fail);
  add(
      "outside of its cpuset", WorkType::CpuSpin, [](auto& r) { r.outside_cpus = {3}; },
      [](TestSpecT& s) { s.isolation = true; }, a.isolation(), Outcome::Fail);
  add(
      "no CPU time on record", WorkType::CpuSpin, [](auto& r) { r.run_ns = 0; },
      [](TestSpecT& s) { s.min_work_rate = 1; }, a.min_work_rate(1), Outcome::Inconclusive);
  add(
      "nothing wrong", WorkType::CpuSpin, [](auto&) {}, [](TestSpecT& s) { s.max_migration_ratio = 1; },
      a.max_migration_ratio(1), Outcome::Pass);
  return all;
}

TEST(Verdict, AnAssertAndADeclaredCheckOfTheSameLimitAgree) {
  for (const Case& c : cases()) {
    EXPECT_EQ(declared(c), c.outcome) << c.what;
    EXPECT_EQ(asserted(c), c.outcome) << c.what;
  }
}

// What a body is handed is what the report says, and what the judge is handed back is the same again.
TEST(Verdict, ABodySeesWhatTheReportSays) {
  WorkerReportT r = report(3, WorkType::FutexFanOut);
  r.killed = true;
  r.messenger = true;
  r.cpus = {1, 2};
  const WorkerResult seen = result_of(r);
  EXPECT_TRUE(seen.killed);
  EXPECT_TRUE(seen.messenger);
  EXPECT_EQ(seen.work, "FutexFanOut");
  EXPECT_EQ(seen.cpus, (std::vector<unsigned>{1, 2}));
  EXPECT_EQ(report_line(report_of(seen)), report_line(r));
}

}  // namespace
}  // namespace ktstr
