// One class a test, and what must not be said without evidence.
#include "reporter/wait_cause.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "reporter/run_model.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPid = 9;

// A task that waits on CPU 1 of two, for a second, in ten samples.
struct Scene {
  uint64_t dsq = 0x202;
  SchedClass on_cpu1 = SchedClass::Idle;
  SchedClass on_cpu0 = SchedClass::Idle;
  uint64_t dispatch0 = 0, dispatch1 = 0;  // calls in that time
  uint32_t taken = 0, taken_elsewhere = 0;
  uint64_t host_wait_ns = 0;
  uint64_t dispatch_ns = 0;  // in 20 calls
  int samples = 10;
  std::string cpus = "1";
  uint32_t local_depth1 = 0;  // tasks on CPU 1's local DSQ
  bool hog_goes = false;      // after the first half, another task has CPU 1
};

std::unique_ptr<CpuSampleT> cpu(unsigned number, SchedClass runs) {
  auto c = std::make_unique<CpuSampleT>();
  c->cpu = static_cast<uint16_t>(number);
  c->rq_clock = 1'000'000;  // 0: not initialised yet
  c->idle = runs == SchedClass::Idle;
  if (c->idle) return c;
  c->curr = std::make_unique<TaskSeenT>();
  c->curr->pid = 7;
  c->curr->comm = "hog";
  c->curr->sched_class = runs;
  return c;
}

std::unique_ptr<DsqSampleT> dsq(uint64_t id, uint32_t seq, uint32_t depth) {
  auto d = std::make_unique<DsqSampleT>();
  d->id = id;
  d->seq = seq;
  d->depth = depth;
  return d;
}

WaitCause explain(const Scene& scene, const std::function<void(GuestFrozenT&)>& frozen = {},
                  const std::vector<std::string>& dump = {}) {
  SyntheticRun run;
  run.boot();
  BpfProgramT program;
  program.name = "demo_dispatch";
  program.member = "dispatch";
  program.tag = "0123456789abcdef";
  run.add(std::move(program));
  run.attach("demo");
  run.start_workload();
  for (int i = 0; i < scene.samples; ++i) {
    MonitorSampleT s;
    s.full = true;
    s.scx_enabled = true;
    s.cpus.push_back(cpu(0, scene.on_cpu0));
    s.cpus.push_back(cpu(1, scene.on_cpu1));
    s.cpus.back()->local_dsq_depth = scene.local_depth1;
    if (scene.hog_goes && i > scene.samples / 2) s.cpus.back()->curr->pid = 8;
    auto& waiter = s.cpus.back()->longest_waiting = std::make_unique<TaskSeenT>();
    waiter->pid = kPid;
    waiter->comm = "lost";
    waiter->wait_ns = static_cast<uint64_t>(i) * 100'000'000;
    waiter->dsq_id = scene.dsq;
    const auto part = static_cast<uint32_t>(i);
    const auto whole = static_cast<uint32_t>(scene.samples - 1);
    s.dsqs.push_back(dsq(scene.dsq, 5 + scene.taken * part / whole, 1));
    s.dsqs.push_back(dsq(0x200, 50 + scene.taken_elsewhere * part / whole, 0));
    auto p = std::make_unique<ProgramSampleT>();
    p->name = "demo_dispatch";
    p->cpu_runs = {100 + scene.dispatch0 * part / whole, 100 + scene.dispatch1 * part / whole};
    p->run_count = 20 * part / whole;
    p->run_ns = scene.dispatch_ns * part / whole;
    s.programs.push_back(std::move(p));
    s.vcpus.push_back(std::make_unique<VcpuThreadT>());
    s.vcpus.back()->wait_ns = scene.host_wait_ns * part / whole;
    run.advance_ms(100).add(std::move(s));
  }
  GuestFrozenT f;
  f.reason = "sched_ext exit 1026 (error_stall)";
  f.cpus.push_back(std::make_unique<FrozenCpuT>());
  f.cpus.back()->cpu = 1;
  f.cpus.back()->tasks.push_back(std::make_unique<TaskSeenT>());
  auto& task = f.cpus.back()->tasks.back();
  task->pid = kPid;
  task->comm = "lost";
  task->dsq_id = scene.dsq;
  task->cpus = scene.cpus;
  if (frozen) frozen(f);
  run.add(std::move(f));
  run.dump(dump);
  RunModel model;
  for (const EventBuffer& event : run.events()) model.fold(event);
  return explain_wait(model.primary(), kPid);
}

TEST(WaitCause, AnIdleCpuThatDispatchesAndTakesNothingFromTheQueue) {
  const WaitCause cause = explain({.dispatch1 = 6, .taken_elsewhere = 40});
  EXPECT_EQ(cause.what, StallClass::kDsqNotConsumed);
  EXPECT_THAT(cause.summary,
              AllOf(HasSubstr("it may run on CPU 1 only"), HasSubstr("in DSQ 0x202"),
                    HasSubstr("ops.dispatch was called 6 times there and took nothing from that DSQ")));
  EXPECT_THAT(cause.evidence,
              Contains(HasSubstr("tasks taken from DSQs meanwhile: DSQ 0x200 40, DSQ 0x202 0")));
}

TEST(WaitCause, AnIdleCpuThatIsNeverAskedWasNotKicked) {
  const WaitCause cause = explain({.dispatch0 = 300, .taken_elsewhere = 40});
  EXPECT_EQ(cause.what, StallClass::kNotKicked);
  EXPECT_THAT(cause.summary, HasSubstr("nobody kicked it"));
}

TEST(WaitCause, DispatchThatMovesNothingAtAll) {
  const WaitCause cause = explain({.dispatch0 = 300, .dispatch1 = 300, .cpus = "0-1"});
  EXPECT_EQ(cause.what, StallClass::kDispatchMovesNothing);
  EXPECT_THAT(cause.summary, AllOf(HasSubstr("took nothing from any DSQ"), Not(HasSubstr("only"))));
}

TEST(WaitCause, BusyCpusThatServeOtherQueues) {
  const WaitCause cause = explain({.on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .taken_elsewhere = 80});
  EXPECT_EQ(cause.what, StallClass::kDsqNotConsumed);
  EXPECT_THAT(cause.summary, HasSubstr("while 80 tasks were taken from others"));
}

TEST(WaitCause, OthersOfItsQueueComeFirst) {
  const Scene busy{.on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .taken = 80};
  const std::vector<std::string> sorted = {"R lost[9] -1000ms",
                                           "    scx_state/flags=3/0x1 dsq_flags=0x1 ops_state/qseq=0/12",
                                           "    sticky/holding_cpu=-1/-1 dsq_id=0x202"};
  const WaitCause cause = explain(busy, {}, sorted);
  EXPECT_EQ(cause.what, StallClass::kStarvedInOrder);
  EXPECT_THAT(cause.summary, HasSubstr("80 other tasks were taken from that DSQ"));
  EXPECT_EQ(explain(busy).what, StallClass::kUnknown) << "nothing says that the DSQ is sorted";
}

TEST(WaitCause, ALocalDsqThatNeverRunsDryComesBeforeEveryOther) {
  const WaitCause cause = explain(
      {.on_cpu1 = SchedClass::Ext, .dispatch0 = 500, .taken = 100, .local_depth1 = 7, .hog_goes = true});
  EXPECT_EQ(cause.what, StallClass::kLocalDsqFirst) << cause.summary;
  EXPECT_THAT(cause.summary,
              HasSubstr("ops.dispatch was not called there for 900.0 ms, because the local DSQ of CPU 1 "
                        "was never empty"));
}

TEST(WaitCause, OneTaskThatNeverGivesTheCpuBack) {
  const std::vector<std::string> endless = {"CPU 1   : nr_run=2 flags=0x1 cpu_rel=0 ops_qseq=5 pnt_seq=9",
                                            "          curr=hog[7] class=ext_sched_class",
                                            " *R hog[7] -40ms",
                                            "      scx_state/flags=3/0xd dsq_flags=0x0 ops_state/qseq=0/0",
                                            "      sticky/holding_cpu=-1/-1 dsq_id=(n/a)",
                                            "      dsq_vtime=0 slice=18446744073709551615 weight=100"};
  const WaitCause cause = explain({.on_cpu1 = SchedClass::Ext, .dispatch0 = 500}, {}, endless);
  EXPECT_EQ(cause.what, StallClass::kCpuHeld) << cause.summary;
  EXPECT_THAT(cause.summary, HasSubstr("hog[7] has CPU 1 in 10 of 10 samples, and its slice never ends"));
  EXPECT_EQ(explain({.on_cpu1 = SchedClass::Ext, .dispatch0 = 500, .hog_goes = true}).what,
            StallClass::kUnknown)
      << "two tasks took turns";
  EXPECT_NE(explain({.on_cpu1 = SchedClass::Ext, .dispatch0 = 500, .dispatch1 = 3}).what,
            StallClass::kCpuHeld)
      << "ops.dispatch was called there";
}

TEST(WaitCause, ARealTimeTaskHasTheOnlyCpu) {
  const WaitCause cause = explain({.on_cpu1 = SchedClass::RealTime});
  EXPECT_EQ(cause.what, StallClass::kCpuTaken);
  EXPECT_THAT(cause.summary, HasSubstr("hog[7], a real-time task"));
}

// Issue 11: "the host did not run the guest's CPUs", where the next line said that the CPU was idle.
TEST(WaitCause, AnIdleCpuIsNotTheHostsFault) {
  EXPECT_NE(explain({.host_wait_ns = 900'000'000}).what, StallClass::kHost);
  EXPECT_EQ(explain({.on_cpu1 = SchedClass::Ext, .host_wait_ns = 900'000'000}).what, StallClass::kHost);
}

// A loaded host, under which the guest ran all the same: others were served.
TEST(WaitCause, AHostUnderLoadIsNotTheCauseWhileOthersAreServed) {
  const WaitCause cause =
      explain({.on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .taken = 80, .host_wait_ns = 900'000'000});
  EXPECT_NE(cause.what, StallClass::kHost);
}

TEST(WaitCause, TooFewSamplesNameNothing) {
  for (SchedClass runs : {SchedClass::Idle, SchedClass::RealTime, SchedClass::Ext}) {
    const WaitCause cause =
        explain({.on_cpu1 = runs, .taken_elsewhere = 40, .host_wait_ns = 900'000'000, .samples = 4});
    EXPECT_EQ(cause.what, StallClass::kUnknown);
    EXPECT_THAT(cause.evidence, Contains(HasSubstr("too few")));
  }
}

TEST(WaitCause, ATimerThatStoppedJustBefore) {
  auto timer = [](uint64_t ago_ns, bool armed) {
    return [=](GuestFrozenT& f) {
      f.maps.push_back(std::make_unique<FrozenMapT>());
      f.maps.back()->name = "gates";
      f.maps.back()->entries.push_back(std::make_unique<FrozenEntryT>());
      auto& t = f.maps.back()->entries.back()->timer = std::make_unique<FrozenTimerT>();
      t->now_ns = 20'000'000'000;
      t->expires_ns = t->now_ns - ago_ns;
      t->armed = armed;
    };
  };
  const WaitCause cause = explain({.dispatch1 = 6}, timer(1'000'000'000, false));
  EXPECT_EQ(cause.what, StallClass::kTimerStopped);
  EXPECT_THAT(cause.summary, HasSubstr("the BPF timer in map gates stopped 1.000 s before"));
  EXPECT_NE(explain({.dispatch1 = 6}, timer(1'000'000'000, true)).what, StallClass::kTimerStopped);
  EXPECT_NE(explain({.dispatch1 = 6}, timer(15'000'000'000, false)).what, StallClass::kTimerStopped)
      << "it stopped long before";
}

TEST(WaitCause, TasksHeldForAUserHalfThatSleeps) {
  const auto thread = [](uint64_t ran_ago_ns) {
    return [=](GuestFrozenT& f) {
      f.early = true;
      f.early_wait_ns = 1'000'000'000;
      f.threads.push_back(std::make_unique<FrozenThreadT>());
      auto& t = f.threads.back();
      t->pid = t->tgid = 110;
      t->comm = "scx_x";
      t->state = "S";
      t->ran_ago_ns = ran_ago_ns;
      t->wait_channel = "futex_do_wait";
      t->syscall = 202;
    };
  };
  const std::vector<std::string> held = {"R lost[9] -1000ms",
                                         "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
                                         "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"};
  const WaitCause cause = explain({.dsq = 0}, thread(990'000'000), held);
  EXPECT_EQ(cause.what, StallClass::kUserHalfAsleep) << cause.summary;
  EXPECT_THAT(
      cause.summary,
      HasSubstr("no thread of the scheduler's process ran meanwhile (scx_x[110] sleeps in futex_do_wait "
                "(futex), ran 990.0 ms ago"));
  const WaitCause awake = explain({.dsq = 0}, thread(30'000'000), held);
  EXPECT_EQ(awake.what, StallClass::kHeldByScheduler) << "it ran: it may have looked, and decided otherwise";
  EXPECT_THAT(awake.evidence,
              Contains(HasSubstr("the scheduler's process: scx_x[110] sleeps in futex_do_wait")));
}

TEST(WaitCause, AHeldTaskThatIsNotInTheQueueWasLost) {
  const std::vector<std::string> held = {"R lost[9] -1000ms",
                                         "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
                                         "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"};
  const auto queue = [](const char* note) {
    return [=](GuestFrozenT& f) {
      f.maps.push_back(std::make_unique<FrozenMapT>());
      f.maps.back()->name = "waiting";
      f.maps.back()->type_name = "queue";
      f.maps.back()->max_entries = 8;
      f.maps.back()->used = 5;
      f.maps.back()->note = note;
    };
  };
  EXPECT_THAT(explain({.dsq = 0}, queue(""), held).summary,
              HasSubstr("its pid is not in map waiting (queue, 5 of 8 entries)"));
  EXPECT_THAT(explain({.dsq = 0}, queue("cut"), held).summary, Not(HasSubstr("its pid is not in")));
}

// scx_rustland whose process got SIGSTOP, as the monitor read its threads on 7.3.
TEST(WaitCause, AUserHalfThatASignalStoppedIsTheCause) {
  const WaitCause cause =
      explain({.dsq = 0},
              [](GuestFrozenT& f) {
                f.threads.push_back(std::make_unique<FrozenThreadT>());
                auto& t = f.threads.back();
                t->pid = t->tgid = 104;
                t->comm = "scx_rustland";
                t->state = "T";
                t->ran_ago_ns = 5'909'000'000;
                t->wait_channel = "do_signal_stop";
                t->syscall = 24;
              },
              {"R lost[9] -1000ms", "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
               "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"});
  EXPECT_EQ(cause.what, StallClass::kUserHalfAsleep) << cause.summary;
  EXPECT_THAT(cause.summary, HasSubstr("the scheduler's process cannot decide: scx_rustland[104] is stopped "
                                       "by a signal (sched_yield), ran 5.909 s ago, until SIGCONT comes"));
}

TEST(WaitCause, ACallbackThatHasTheCpus) {
  Scene busy{.on_cpu1 = SchedClass::Ext, .on_cpu0 = SchedClass::Ext, .dispatch_ns = 1'500'000'000};
  const WaitCause cause = explain(busy);
  EXPECT_EQ(cause.what, StallClass::kSlowCallback) << cause.summary;
  EXPECT_THAT(cause.summary, HasSubstr("ops.dispatch (demo_dispatch) took 75.0 ms a call: 20 calls"));
  busy.dispatch_ns = 10'000'000;
  const WaitCause quick = explain(busy);
  EXPECT_NE(quick.what, StallClass::kSlowCallback);
  EXPECT_THAT(quick.evidence, Not(Contains(HasSubstr("a call"))));
}

TEST(WaitCause, AFullMapIsSaid) {
  const auto full = [](GuestFrozenT& f) {
    f.maps.push_back(std::make_unique<FrozenMapT>());
    f.maps.back()->name = "ring";
    f.maps.back()->type_name = "queue";
    f.maps.back()->used = f.maps.back()->max_entries = 24;
  };
  EXPECT_THAT(explain({}, full).evidence, Contains(HasSubstr("map ring (queue) is full: 24 of 24 entries")));
}

}  // namespace
}  // namespace ktstr::testing
