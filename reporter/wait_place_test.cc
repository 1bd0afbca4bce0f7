#include "reporter/wait_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reporter/testing/synthetic_run.h"
#include "schemas/crash_generated.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<TaskSeenT> lost_task(uint64_t dsq_id, uint64_t wait_ns = 2'000'000'000) {
  auto t = std::make_unique<TaskSeenT>();
  t->pid = 9;
  t->comm = "lost";
  t->state = "R";
  t->dsq_id = dsq_id;
  t->wait_ns = wait_ns;
  return t;
}

// A run in which lost[9] stalls: what the samples and the frozen guest say of it is up to the test.
class AStall : public ::testing::Test {
 protected:
  AStall() {
    run_.boot();
    run_.attach("demo");
    run_.start_workload();
    run_.monitor_samples(6);
  }
  void sample(uint64_t dsq_id, uint64_t wait_ns) {
    MonitorSampleT s;
    s.scx_enabled = true;
    s.cpus.push_back(std::make_unique<CpuSampleT>());
    s.cpus[0]->longest_waiting = lost_task(dsq_id, wait_ns);
    run_.add(std::move(s));
  }
  void freeze_in_bypass() {
    GuestFrozenT f;
    f.reason = "sched_ext exit 1026 (error_stall)";
    auto dsq = std::make_unique<FrozenDsqT>();
    dsq->id = kScxDsqBypass;
    dsq->kind = DsqKind::Bypass;
    dsq->place = 2;
    dsq->depth = 1;
    dsq->tasks.push_back(lost_task(kScxDsqBypass));
    f.dsqs.push_back(std::move(dsq));
    run_.add(std::move(f));
  }
  void freeze_in_no_dsq() {
    GuestFrozenT f;
    f.reason = "sched_ext exit 1026 (error_stall)";
    f.cpus.push_back(std::make_unique<FrozenCpuT>());
    f.cpus[0]->tasks.push_back(lost_task(0));
    run_.add(std::move(f));
  }
  std::string report() {
    CrashDetectedT crash = SyntheticRun::crash(kScxExitErrorStall, "runnable task stall", "", {});
    crash.stall_task_pid = 9;
    crash.stall_task_comm = "lost";
    run_.add(std::move(crash));
    return run_.text();
  }
  SyntheticRun run_;
};

// The two lines of the monitor section used to say "in no DSQ" and "in the bypass DSQ" of the same task.
TEST_F(AStall, TheKernelsBypassIsNotWhereTheTaskWaited) {
  sample(0, 1'900'000'000);
  freeze_in_no_dsq();
  sample(kScxDsqBypass, 2'100'000'000);  // after the abort, in the same wait
  const std::string text = report();
  EXPECT_THAT(text, HasSubstr("in no DSQ: >lost[9]"));
  EXPECT_THAT(text, HasSubstr("lost[9] waited 2.100 s on CPU 0, in no DSQ; in 2 samples"));
  EXPECT_THAT(text, Not(HasSubstr("bypass DSQ")));
}

TEST_F(AStall, AFreezeThatCameLateIsExplained) {
  sample(0x100, 1'900'000'000);
  freeze_in_bypass();
  const std::string text = report();
  EXPECT_THAT(text, HasSubstr("bypass DSQ of CPU 2: 1 task: >lost[9]"));
  EXPECT_THAT(text, HasSubstr("on CPU 0, in DSQ 0x100 (at the abort the kernel moved it to the bypass DSQ of "
                              "CPU 2); in 1 samples"));
}

TEST_F(AStall, WithNothingElseTheBypassIsSaid) {
  sample(kScxDsqBypass, 1'900'000'000);
  EXPECT_THAT(report(), HasSubstr("on CPU 0, in the bypass DSQ; in 1 samples"));
}

// The scheduler left as it was asked to: nothing was aborted.
TEST_F(AStall, WithoutAnAbortNoAbortIsSaid) {
  sample(0x100, 900'000'000);
  freeze_in_bypass();
  RunModel model;
  for (const EventBuffer& event : run_.events()) model.fold(event);
  EXPECT_EQ(wait_place(model.primary(), 9), "in DSQ 0x100");
}

TEST_F(AStall, TheDumpIsAskedFirst) {
  sample(0x100, 1'900'000'000);
  run_.dump({"CPU 0   : nr_run=1 flags=0x1", "", "  R lost[9] -2000ms",
             "      sticky/holding_cpu=-1/-1 dsq_id=0x8000000000000001", ""});
  const std::string text = report();
  EXPECT_THAT(text, HasSubstr("on CPU 0, in the global DSQ; in 1 samples"));
  EXPECT_THAT(text, HasSubstr("it waits in the global DSQ, on CPU 0's run queue"));
}

}  // namespace
}  // namespace ktstr::testing
