#include "reporter/monitor_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "reporter/testing/synthetic_run.h"
#include "schemas/crash_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Story {
  std::function<void(TestSpecT&)> spec = [](TestSpecT&) {};
  std::function<void(SyntheticRun&)> workload = [](SyntheticRun& run) { run.monitor_samples(20); };
};

Report told(const Story& story) {
  SyntheticRun run("steady", "good");
  run.spec().enforce = true;
  run.spec().fail_on_stall = true;
  story.spec(run.spec());
  run.boot();
  run.attach("good");
  run.start_workload();
  story.workload(run);
  run.finish_workload();
  run.report_workers();
  run.power_off();
  run.complete();
  return run.report();
}

void busy(SyntheticRun& run) { run.monitor_samples(20, 9); }

TEST(MonitorChecks, AnExceededThresholdFailsTheTest) {
  const Report report = told({.workload = busy});
  EXPECT_EQ(report.judgement.code, ExitCode::kTestFailed) << report.text;
  EXPECT_THAT(
      report.text,
      HasSubstr("monitor: imbalance ratio up to 9.0, above 4 for 19 samples in a row (max_imbalance_ratio)"));
  EXPECT_THAT(report.text, HasSubstr("verdict: a threshold was exceeded"));
}

TEST(MonitorChecks, NotEnforcedIsOnlyReported) {
  const Report report = told({.spec = [](TestSpecT& s) { s.enforce = false; }, .workload = busy});
  EXPECT_EQ(report.judgement.code, ExitCode::kPass) << report.text;
  const Report failed = told({.spec =
                                  [](TestSpecT& s) {
                                    s.enforce = false;
                                    s.max_gap_ns = 1;
                                  },
                              .workload = busy});
  EXPECT_THAT(failed.text, HasSubstr("verdict: a threshold was exceeded (reported only: enforce = false)"));
}

TEST(MonitorChecks, WithoutEnforceAMonitorThatSawNothingIsNoPassWhileStallsAreLookedFor) {
  const auto blind = [](SyntheticRun& run) {
    MonitorUnavailableT unavailable;
    unavailable.reason = "the kernel holds no BTF";
    run.add(std::move(unavailable));
    run.advance_ms(1000);
  };
  const auto lenient = [](TestSpecT& s) { s.enforce = false; };
  const Report report = told({.spec = lenient, .workload = blind});
  EXPECT_EQ(report.judgement.code, ExitCode::kInconclusive) << report.text;
  EXPECT_THAT(report.text, HasSubstr("fail_on_stall = false"));
  const auto off = [](TestSpecT& s) { s.enforce = s.fail_on_stall = false; };
  EXPECT_EQ(told({.spec = off, .workload = blind}).judgement.code, ExitCode::kPass);
}

TEST(MonitorChecks, OneThatIsSwitchedOffIsNotChecked) {
  EXPECT_EQ(told({.spec = [](TestSpecT& s) { s.max_imbalance_ratio = 0; }, .workload = busy}).judgement.code,
            ExitCode::kPass);
  EXPECT_EQ(told({.spec = [](TestSpecT& s) { s.sustained_samples = 0; }, .workload = busy}).judgement.code,
            ExitCode::kPass);
  EXPECT_EQ(
      told({.spec = [](TestSpecT& s) { s.max_imbalance_ratio = 9.5; }, .workload = busy}).judgement.code,
      ExitCode::kPass);
}

TEST(MonitorChecks, WhatCouldNotBeEvaluatedIsNoPass) {
  const Report few = told({.workload = [](SyntheticRun& run) { run.monitor_samples(4); }});
  EXPECT_EQ(few.judgement.code, ExitCode::kInconclusive) << few.text;
  EXPECT_THAT(few.text, HasSubstr("3 intervals of 100 ms between samples in the workload, 5 are needed"));
  EXPECT_THAT(few.text, HasSubstr("enforce = false only reports"));
  const Report blind = told({.workload = [](SyntheticRun& run) {
    MonitorUnavailableT unavailable;
    unavailable.reason = "the kernel holds no BTF";
    run.add(std::move(unavailable));
  }});
  EXPECT_EQ(blind.judgement.code, ExitCode::kInconclusive);
  EXPECT_THAT(blind.text, HasSubstr("the kernel holds no BTF"));
  EXPECT_EQ(told({.spec = [](TestSpecT& s) { s.enforce = false; },
                  .workload = [](SyntheticRun& run) { run.monitor_samples(4); }})
                .judgement.code,
            ExitCode::kPass);
}

TEST(MonitorChecks, ABodyMayBeOverBeforeAnythingCouldLast) {
  const auto body = [](TestSpecT& s) { s.body = "my_tests"; };
  const auto samples = [](int count) { return [count](SyntheticRun& run) { run.monitor_samples(count); }; };
  EXPECT_THAT(told({.spec = body, .workload = samples(3)}).text,
              Not(HasSubstr("thresholds could not be evaluated")));
  // One that lasted, and was not seen.
  const auto unseen = [](SyntheticRun& run) { run.advance_ms(3000); };
  EXPECT_THAT(told({.spec = body, .workload = unseen}).text, HasSubstr("thresholds could not be evaluated"));
}

TEST(MonitorChecks, AWriteThatWasNotDoneMakesAnotherTestOfIt) {
  const auto spec = [](TestSpecT& s) {
    s.bpf_map_write.push_back(std::make_unique<MapWriteT>());
    s.bpf_map_write[0]->map = ".bss";
    s.bpf_map_write[0]->field = "limit";
    s.bpf_map_write[0]->value = "3";
  };
  const auto written = [](const char* error) {
    return [error](SyntheticRun& run) {
      run.monitor_samples(20);
      MapWrittenT w;
      w.map = ".bss";
      w.field = "limit";
      w.before = "1";
      w.after = "3";
      w.error = error;
      run.add(std::move(w));
    };
  };
  EXPECT_EQ(told({.spec = spec, .workload = written("")}).judgement.code, ExitCode::kPass);
  const Report failed = told({.spec = spec, .workload = written("no such field")});
  EXPECT_EQ(failed.judgement.code, ExitCode::kInconclusive);
  EXPECT_THAT(failed.text, HasSubstr("not written: no such field"));
  EXPECT_EQ(told({.spec = spec}).judgement.code, ExitCode::kInconclusive);  // nobody said anything
}

TEST(MonitorChecks, AWatchdogThatWasNotSetToo) {
  const auto spec = [](TestSpecT& s) { s.watchdog_timeout_ns = 2'000'000'000; };
  EXPECT_EQ(told({.spec = spec}).judgement.code, ExitCode::kInconclusive);
  const Report set = told({.spec = spec, .workload = [](SyntheticRun& run) {
                             run.monitor_samples(20);
                             run.add(WatchdogSetT{});
                           }});
  EXPECT_EQ(set.judgement.code, ExitCode::kPass) << set.text;
}

std::unique_ptr<TaskSeenT> task(int pid, const char* comm, uint64_t wait_ns = 0) {
  auto t = std::make_unique<TaskSeenT>();
  t->pid = pid;
  t->comm = comm;
  t->state = "R";
  t->wait_ns = wait_ns;
  return t;
}

std::unique_ptr<FrozenFieldT> field(const char* name, const char* value) {
  auto f = std::make_unique<FrozenFieldT>();
  f->name = name;
  f->value = value;
  return f;
}

TEST(MonitorSection, ShowsTheGuestAsItStoodAtTheExit) {
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.monitor_samples(6);
  GuestFrozenT f;
  f.held_ns = 350'000;
  f.reason = "sched_ext exit 1026 (error_stall)";
  f.artifact = "frozen.json";
  f.absent = {"local DSQ of CPU 3: cut where it made no sense"};
  auto cpu = std::make_unique<FrozenCpuT>();
  cpu->nr_running = cpu->scx_nr_running = 2;
  cpu->curr = task(7, "spinner");
  cpu->tasks.push_back(task(9, "lost", 2'000'000'000));
  f.cpus.push_back(std::move(cpu));
  for (const uint64_t id : {0x100ull, (1ull << 63) | 2}) {
    auto dsq = std::make_unique<FrozenDsqT>();
    dsq->id = id;
    dsq->depth = id == 0x100 ? 8 : 0;
    for (int i = 0; i < 8 && id == 0x100; ++i) dsq->tasks.push_back(task(20 + i, "w"));
    f.dsqs.push_back(std::move(dsq));
  }
  auto map = std::make_unique<FrozenMapT>();
  map->name = ".bss.stats";
  map->type_name = "array";
  map->entries.push_back(std::make_unique<FrozenEntryT>());
  for (const auto& [name, value] :
       {std::pair{"stats.enqueued", "501"}, {"stats.zero", "0"}, {"stats.on", "true"}})
    map->entries[0]->fields.push_back(field(name, value));
  f.maps.push_back(std::move(map));
  run.add(std::move(f));
  CrashDetectedT crash =
      SyntheticRun::crash(0x402, "runnable task stall", "lost[9] failed to run for 2.0s", {});
  crash.stall_task_pid = 9;
  crash.stall_task_comm = "lost";
  run.add(std::move(crash));
  const std::string text = run.text();
  EXPECT_THAT(
      text,
      HasSubstr("at the exit (sched_ext exit 1026 (error_stall)), with the VM paused for 350.0 us; all of it "
                "is in frozen.json:\n"
                "  CPU 0: spinner[7] runs, 2 runnable (2 of sched_ext); in no DSQ: >lost[9] waits 2.000 s\n"
                "  DSQ 0x100: 8 tasks: w[20], w[21], w[22], w[23], w[24], w[25], and 2 more\n"
                "  empty: local DSQ of CPU 0\n"
                "  map .bss.stats (array)\n"
                "    stats.enqueued 501  stats.zero 0  stats.on true\n"
                "  absent: local DSQ of CPU 3: cut where it made no sense\n"));
}

}  // namespace
}  // namespace ktstr::testing
