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

struct Line {
  uint32_t insn, line;
  const char* text;
  const char* file = "/src/demo.bpf.c";
  const char* function = "";
};

BpfProgramT program(uint32_t id, const char* member, const std::vector<Line>& lines) {
  BpfProgramT p;
  p.id = id;
  p.name = std::string("demo_") + member;
  p.member = member;
  p.tag = "0123456789abcdef";
  for (const Line& line : lines) {
    p.lines.push_back(std::make_unique<LineInfoT>());
    p.lines.back()->insn = line.insn;
    p.lines.back()->file = line.file;
    p.lines.back()->line = line.line;
    p.lines.back()->text = line.text;
    p.lines.back()->function = line.function;
  }
  return p;
}

WaitCause explain(const Scene& scene, const std::function<void(GuestFrozenT&)>& frozen = {},
                  const std::vector<std::string>& dump = {}) {
  SyntheticRun run;
  run.boot();
  run.add(program(1, "dispatch",
                  {{0, 30, "void BPF_PROG(demo_dispatch, s32 cpu, struct task_struct *prev)"},
                   {3, 31, "if (nr_running >= MAX_RUNNING) {"},
                   {9, 35, "scx_bpf_dsq_move_to_local(dsq);"},
                   {10, 7, "return scx_bpf_consume(dsq_id);", "/usr/include/scx/compat.bpf.h"}}));
  run.add(program(2, "enqueue",
                  {{0, 10, "void BPF_PROG(demo_enqueue, struct task_struct *p, u64 enq_flags)"},
                   {4, 12, "if (!tctx) return;"},
                   {8, 14, "scx_bpf_dsq_insert(p, SHARED, slice, enq_flags);"}}));
  run.add(program(3, "init",
                  {{0, 50, "s32 BPF_PROG(demo_init)"},
                   {20, 40, "if (!nr_waiting) return 0;", "/src/demo.bpf.c", "refill"}}));
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

// Schedulers number their DSQs by CPU, LLC or node, from 0 on; the monitor writes 0 for a task in none.
TEST(WaitCause, ADsqWithTheNumberZeroIsADsq) {
  const Scene busy{.dsq = 0, .on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .taken = 80};
  const std::vector<std::string> sorted = {"R lost[9] -1000ms",
                                           "    scx_state/flags=3/0x1 dsq_flags=0x1 ops_state/qseq=0/12",
                                           "    sticky/holding_cpu=-1/-1 dsq_id=0x0"};
  const WaitCause cause = explain(busy, {}, sorted);
  EXPECT_EQ(cause.what, StallClass::kStarvedInOrder);
  EXPECT_THAT(cause.summary,
              AllOf(HasSubstr("waits in DSQ 0x0"), HasSubstr("80 other tasks were taken from that DSQ")));
  const WaitCause by_queue = explain(busy, [](GuestFrozenT& f) {
    f.dsqs.push_back(std::make_unique<FrozenDsqT>());
    f.dsqs.back()->depth = 1;
    f.dsqs.back()->tasks.push_back(std::make_unique<TaskSeenT>(*f.cpus[0]->tasks[0]));
  });
  EXPECT_THAT(by_queue.summary,
              AllOf(HasSubstr("waits in DSQ 0x0"), HasSubstr("80 other tasks were taken from that DSQ")));
  const WaitCause samples_alone = explain(busy, [](GuestFrozenT& f) { f.cpus.clear(); });
  EXPECT_THAT(samples_alone.summary, HasSubstr("waits in DSQ 0x0 or in none"));
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
  // It was run: it asked for tasks over and over, and got none.
  EXPECT_EQ(
      explain({.on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .host_wait_ns = 900'000'000, .hog_goes = true})
          .what,
      StallClass::kDispatchMovesNothing);
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

const std::vector<std::string> kHeld = {"R lost[9] -1000ms",
                                        "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
                                        "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"};

FrozenProgramT& judged(GuestFrozenT& f, uint32_t id) {
  f.programs.push_back(std::make_unique<FrozenProgramT>());
  f.programs.back()->id = id;
  return *f.programs.back();
}

FrozenMapT& map(GuestFrozenT& f, const char* name, const char* type) {
  f.maps.push_back(std::make_unique<FrozenMapT>());
  f.maps.back()->name = name;
  f.maps.back()->type_name = type;
  return *f.maps.back();
}

void variable(FrozenMapT& section, const char* name, const char* value) {
  if (section.entries.empty()) section.entries.push_back(std::make_unique<FrozenEntryT>());
  section.entries.front()->fields.push_back(std::make_unique<FrozenFieldT>());
  section.entries.front()->fields.back()->name = name;
  section.entries.front()->fields.back()->value = value;
}

TEST(WaitCause, TheWayOutOfEnqueueThatLosesTheTaskIsNamed) {
  const auto dropped = [](GuestFrozenT& f) { judged(f, 2).dropped = {5}; };
  const WaitCause cause = explain({.dsq = 0}, dropped, kHeld);
  EXPECT_EQ(cause.what, StallClass::kHeldByScheduler);
  EXPECT_THAT(
      cause.summary,
      HasSubstr("ops.enqueue has a way out on which it calls nothing that inserts or stores the task: "
                "after demo.bpf.c:12: if (!tctx) return"));
  EXPECT_THAT(cause.advice, HasSubstr("that way out of ops.enqueue"));
}

TEST(WaitCause, ATaskWhosePidIsInAMapWasNotLostInEnqueue) {
  const auto kept = [](GuestFrozenT& f) {
    judged(f, 2).dropped = {5};
    FrozenMapT& queue = map(f, "pending", "queue");
    queue.used = 1;
    queue.max_entries = 4;
    variable(queue, "value", "9");
  };
  const WaitCause cause = explain({.dsq = 0}, kept, kHeld);
  EXPECT_THAT(cause.summary, AllOf(HasSubstr("its pid is in map pending"), Not(HasSubstr("way out"))));
}

TEST(WaitCause, AFullMapIsTheFirstThingToMendForATaskThatWasLost) {
  const auto full = [](GuestFrozenT& f) {
    judged(f, 2).dropped = {5};
    FrozenMapT& hash = map(f, "task_ctxs", "hash");
    hash.used = hash.max_entries = 128;
  };
  const WaitCause cause = explain({.dsq = 0}, full, kHeld);
  EXPECT_THAT(cause.summary, AllOf(HasSubstr("demo.bpf.c:12"),
                                   HasSubstr("map task_ctxs (hash) is full: 128 of 128 entries")));
  EXPECT_THAT(cause.advice, HasSubstr("raise max_entries"));
}

TEST(WaitCause, WhatTheProcessHasNotReadFromItsRingIsSaid) {
  const auto unread = [](GuestFrozenT& f) { map(f, "queued", "ringbuf").used = 96; };
  const WaitCause cause = explain({.dsq = 0}, unread, kHeld);
  EXPECT_EQ(cause.what, StallClass::kUserHalfAsleep) << cause.summary;
  EXPECT_THAT(cause.summary,
              HasSubstr("ring buffer queued holds 96 bytes that the scheduler's process has not read"));
  const auto lost = [&](GuestFrozenT& f) {
    unread(f);
    judged(f, 2).dropped = {5};
  };
  EXPECT_EQ(explain({.dsq = 0}, lost, kHeld).what, StallClass::kHeldByScheduler) << "it may be a log";
}

TEST(WaitCause, ADispatchInVainNamesItsConditionAndTheValuesInIt) {
  const auto throttled = [](GuestFrozenT& f) {
    judged(f, 1).unplaced = {5};
    judged(f, 2).places = {8};
    f.programs.front()->places = {10};
    FrozenMapT& globals = map(f, ".bss", "array");
    variable(globals, "nr_running", "71");
    variable(globals, "nr_other", "5");
  };
  const WaitCause cause = explain({.dispatch1 = 60}, throttled);
  EXPECT_EQ(cause.what, StallClass::kDispatchMovesNothing) << cause.summary;
  EXPECT_THAT(cause.summary,
              HasSubstr("it moves none on its way out after demo.bpf.c:31: if (nr_running >= MAX_RUNNING) "
                        "(nr_running is 71)"));
  EXPECT_THAT(
      cause.evidence,
      Contains(AllOf(HasSubstr("ops.enqueue inserts at demo.bpf.c:14: scx_bpf_dsq_insert("),
                     HasSubstr("ops.dispatch moves after demo.bpf.c:35: scx_bpf_dsq_move_to_local(dsq)"))));
  // Now and then it did take one.
  EXPECT_EQ(explain({.dispatch1 = 60, .taken = 4}, throttled).what, StallClass::kDispatchMovesNothing);
  EXPECT_EQ(explain({.dispatch1 = 60, .taken = 40}, throttled).what, StallClass::kUnknown);
  // The same on a CPU that is busy half of the time.
  const WaitCause busy =
      explain({.on_cpu1 = SchedClass::Ext, .dispatch1 = 60, .taken = 4, .hog_goes = true}, throttled);
  EXPECT_EQ(busy.what, StallClass::kDispatchMovesNothing) << busy.summary;
  EXPECT_THAT(busy.summary,
              HasSubstr("ops.dispatch was called 60 times there, and 4 tasks were taken from all DSQs"));
}

TEST(WaitCause, TheWayOutOfATimersCallbackThatDoesNotStartItAgainIsNamed) {
  const auto stopped = [](GuestFrozenT& f) {
    judged(f, 3).unarmed = {21};
    map(f, "gates", "array").entries.push_back(std::make_unique<FrozenEntryT>());
    auto& t = f.maps.back()->entries.back()->timer = std::make_unique<FrozenTimerT>();
    t->now_ns = 20'000'000'000;
    t->expires_ns = 19'000'000'000;
  };
  EXPECT_THAT(
      explain({.dispatch1 = 6}, stopped).summary,
      HasSubstr(
          "a timer is not started again on the way out of refill() after demo.bpf.c:40: if (!nr_waiting) "
          "return 0"));
}

TEST(WaitCause, AVtimeThatNoChargeExplainsIsAWrappedSubtraction) {
  const Scene busy{.on_cpu1 = SchedClass::Ext, .dispatch1 = 90, .taken = 80};
  const auto sorted = [](uint64_t vtime) {
    return [=](GuestFrozenT& f) {
      f.early = true;
      f.cpus.front()->rq_clock = 5'000'000'000;
      f.dsqs.push_back(std::make_unique<FrozenDsqT>());
      f.dsqs.back()->id = 0x202;
      for (const int pid : {5, kPid}) {
        f.dsqs.back()->tasks.push_back(std::make_unique<TaskSeenT>());
        f.dsqs.back()->tasks.back()->pid = pid;
        f.dsqs.back()->tasks.back()->comm = pid == kPid ? "lost" : "first";
        f.dsqs.back()->tasks.back()->vtime = pid == kPid ? vtime : 1000;
      }
    };
  };
  EXPECT_THAT(
      explain(busy, sorted(1ull << 62)).summary,
      AllOf(HasSubstr("that of the first, first[5], is 1000"), HasSubstr("a subtraction went below zero")));
  EXPECT_THAT(explain(busy, sorted(1ull << 62)).advice, HasSubstr("what is added to dsq_vtime"));
  EXPECT_THAT(explain(busy, sorted(9'000'000'000)).summary, Not(HasSubstr("subtraction")));
}

// scx_rustland whose process got SIGKILL: its threads wait in no DSQ, for a decision that only it could make.
TEST(WaitCause, AUserHalfThatWasKilledAndCannotEndIsTheCause) {
  const std::vector<std::string> held = {"R lost[9] -1000ms",
                                         "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
                                         "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"};
  const auto left = [](int wait_status) {
    return [=](GuestFrozenT& f) {
      f.threads.push_back(std::make_unique<FrozenThreadT>());
      auto& t = f.threads.back();
      t->pid = 104;
      t->tgid = 102;
      t->comm = "scx_rustland";
      t->state = "R";
      t->ran_ago_ns = 5'392'000'000;
      t->ending = true;
      t->wait_status = wait_status;
    };
  };
  const WaitCause cause = explain({.dsq = 0}, left(9), held);
  EXPECT_EQ(cause.what, StallClass::kUserHalfAsleep) << cause.summary;
  EXPECT_THAT(
      cause.summary,
      HasSubstr("the scheduler's process cannot decide: it was killed by SIGKILL, and is not gone: its "
                "scx_rustland[104] is runnable, ran 5.392 s ago"));
  EXPECT_THAT(cause.advice, HasSubstr("let the kernel half place tasks when no answer comes"));
  // A scheduler's process exits by itself once the kernel has aborted it.
  EXPECT_EQ(explain({.dsq = 0}, left(1 << 8), held).what, StallClass::kHeldByScheduler);
}

TEST(WaitCause, ATasksOwnStorageIsNoPlaceWhereItWaits) {
  const WaitCause cause =
      explain({.dsq = 0},
              [](GuestFrozenT& f) {
                f.maps.push_back(std::make_unique<FrozenMapT>());
                f.maps.back()->name = "task_ctx_stor";
                f.maps.back()->type_name = "task_storage";
                f.maps.back()->entries.push_back(std::make_unique<FrozenEntryT>());
                f.maps.back()->entries.back()->key = "lost[9]";
              },
              {"R lost[9] -1000ms", "    scx_state/flags=3/0x1 dsq_flags=0x0 ops_state/qseq=2/12",
               "    sticky/holding_cpu=-1/-1 dsq_id=(n/a)"});
  EXPECT_EQ(cause.what, StallClass::kHeldByScheduler) << cause.summary;
  EXPECT_THAT(cause.summary, Not(HasSubstr("task_ctx_stor")));
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
