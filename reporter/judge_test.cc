// Every way a run can end: outcome, exit code, beginning of the summary.
#include "reporter/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "reporter/testing/synthetic_run.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Judgement verdict(SyntheticRun& run) { return run.report().judgement; }

TEST(Judge, GoodRunPasses) {
  SyntheticRun run = SyntheticRun::good();
  Judgement j = verdict(run);
  EXPECT_EQ(Outcome::Pass, j.outcome);
  EXPECT_EQ(ExitCode::kPass, j.code);
}

TEST(Judge, KernelsWordCountsNotTheExitStatus) {
  SyntheticRun run = SyntheticRun::demo_crash();  // its process exits 0
  run.add(FactsCompletedT{}, Vm::Host);
  Judgement j = verdict(run);
  EXPECT_EQ(ExitCode::kTestFailed, j.code);
  EXPECT_EQ(FailureKind::kSchedulerCrash, j.kind);
  EXPECT_THAT(j.summary,
              StartsWith("scx_bpf_error: demo: budget of 500 enqueues spent by yield_0[118] on cpu 2 "
                         "(scx_demo.bpf.c:31 in demo_charge, called by demo_enqueue)"));
  EXPECT_THAT(j.signature, HasSubstr("demo_charge"));
}

TEST(Judge, AStatementIsShownUnlessItOnlyHoldsTheMessagesFormat) {
  for (const auto& [statement, shown] : std::vector<std::pair<std::string, std::string>>{
           {"\tscx_bpf_error(\"no such cell %d\", cell);", ")"},
           {"\tif (scx_bpf_error(\"%s: lost\", name))", ": if (scx_bpf_error(\"%s: lost\", name)))"},
           {"\tupdate(&cells, \"another text\");", ": update(&cells, \"another text\");)"},
           {"\treturn lookup(cell)->owner;", ": return lookup(cell)->owner;)"}}) {
    SyntheticRun run;
    run.boot();
    run.attach("demo");
    run.start_workload();
    run.add(SyntheticRun::crash(1025, "scx_bpf_error", "no such cell 7",
                                {{.function = "cell_of",
                                  .tag = "0123456789abcdef",
                                  .file = "scx_c.bpf.c",
                                  .line = 12,
                                  .text = statement}}));
    run.add(FactsCompletedT{}, Vm::Host);
    EXPECT_THAT(verdict(run).summary, HasSubstr("(scx_c.bpf.c:12 in cell_of" + shown)) << statement;
  }
}

TEST(Judge, CrashIsSeenInTheDumpWhenTheCollectorIsGone) {
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.dump(sample("7.3-scx_demo.dump.txt"));
  Judgement j = verdict(run);  // nothing more: everything was killed
  EXPECT_EQ(FailureKind::kSchedulerCrash, j.kind);
  EXPECT_THAT(j.summary, HasSubstr("budget of 500"));
  EXPECT_EQ(ExitCode::kTestFailed, j.code);
}

TEST(Judge, ErrorWithoutASchedulerFrameNamesTheCallbackBefore) {
  SyntheticRun run("bad", "bad_dsq");
  run.boot();
  run.attach("bad_dsq");
  BpfProgramT program;
  program.name = "bad_dsq_enqueue";
  program.tag = "00";
  program.member = "enqueue";
  program.lines.push_back(std::make_unique<LineInfoT>());
  program.lines.back()->file = "scx_bad_dsq.bpf.c";
  program.lines.back()->line = 20;
  run.add(std::move(program));
  run.start_workload();
  run.add(SyntheticRun::crash(1024, "runtime error", "non-existent DSQ 0xbad",
                              {{.function = "scx_vexit"},
                               {.function = "__scx_exit"},
                               {.function = "find_dsq_for_dispatch"},
                               {.function = "scx_do_enqueue_task"}}));
  EXPECT_EQ(
      "runtime error: non-existent DSQ 0xbad (in find_dsq_for_dispatch, after ops.enqueue, bad_dsq_enqueue "
      "at "
      "scx_bad_dsq.bpf.c:20)",
      verdict(run).summary);
}

TEST(Judge, DeadProcessIsNotACrash) {
  SyntheticRun run("dies", "segv");
  run.boot();
  run.attach("segv");
  run.start_workload();
  run.scheduler_output(sample("scx_segv.sched.txt"));
  run.console(sample("scx_segv.console.txt"));
  run.detach("segv");
  run.finish_workload();
  SchedulerExitedT exit;
  exit.signal = SIGSEGV;
  exit.attached = true;
  exit.core_frames = {"take_sample+0x30 (scx_segv)", "main+0x1f0 (scx_segv)"};
  run.add(std::move(exit));
  run.add(GuestFinishedT{});
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
  Judgement j = verdict(run);
  EXPECT_EQ(FailureKind::kSchedulerDied, j.kind);
  EXPECT_THAT(j.summary,
              StartsWith("scheduler segv's process died: killed by SIGSEGV, in take_sample+0x30 (scx_segv)"));
  EXPECT_THAT(run.text(), HasSubstr("#1  main+0x1f0"));
}

TEST(Judge, AnAbortNamesTheSchedulersOwnFrame) {
  SyntheticRun run("aborts", "x");
  run.boot();
  SchedulerStartedT scheduler;
  scheduler.argv = {"/ktstr/sched/scx_x", "--cells"};
  run.add(std::move(scheduler));
  run.attach("x");
  run.start_workload();
  run.detach("x");
  run.finish_workload();
  SchedulerLineT line;
  line.stream = OutputStream::Stderr;
  line.text = "x.cc:9: Assertion `cells' failed.";
  run.add(std::move(line));
  SchedulerExitedT exit;
  exit.signal = SIGABRT;
  exit.attached = true;
  exit.core_frames = {"? (libc.so.6)", "raise+0x18 (libc.so.6)", "abort+0xcf (libc.so.6)",
                      "check+0x1b (scx_x)"};
  run.add(std::move(exit));
  run.add(GuestFinishedT{});
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
  EXPECT_THAT(verdict(run).summary,
              HasSubstr("killed by SIGABRT, in raise+0x18 (libc.so.6), from check+0x1b (scx_x); it said: "
                        "assertion failed at x.cc:9: `cells'"));
}

TEST(Judge, AnExitThatItsOwnProgramsAskedForIsNamed) {
  SyntheticRun run("leaves", "x");
  run.boot();
  run.attach("x");
  run.start_workload();
  run.console({"[    6.473187] sched_ext: BPF scheduler \"x\" disabled (unregistered from BPF)"});
  run.scheduler_output({"[x] attached", "EXIT: unregistered from BPF (done after 501)", "exit kind 0x41"});
  run.detach("x");
  run.finish_workload();
  run.power_off(true);
  run.complete();
  Judgement j = verdict(run);
  EXPECT_EQ(FailureKind::kSchedulerLeft, j.kind);
  EXPECT_EQ("scheduler x left during the test: unregistered from BPF: done after 501", j.summary);
}

// The words of scx_good on 7.3 when a step took CPU 3 away.
SyntheticRun hotplug_exit() {
  SyntheticRun run("away", "good");
  run.boot();
  run.attach("good");
  run.start_workload();
  run.monitor_samples(10);
  run.console(
      {"[    7.231014] sched_ext: BPF scheduler \"good\" disabled (unregistered from the main kernel)"});
  run.scheduler_output({"EXIT: unregistered from the main kernel (cpu 3 going offline, exiting scheduler)"});
  run.detach("good");
  return run;
}

TEST(Judge, AHotplugExitIsToldAsWhatItIs) {
  SyntheticRun run = hotplug_exit();
  run.finish_workload();
  run.power_off(true);
  run.complete();
  const Judgement j = verdict(run);
  EXPECT_EQ(FailureKind::kSchedulerLeft, j.kind);
  EXPECT_EQ(
      "scheduler good left during the test: unregistered from the main kernel: cpu 3 going offline, exiting "
      "scheduler; CPU hotplug, and the scheduler has no ops.cpu_offline: the kernel asks its process to load "
      "it again, and it ended (exit code 0)",
      j.summary);
  EXPECT_THAT(j.advice, HasSubstr("ops.cpu_offline"));
  EXPECT_EQ(FailedStep::Run, j.failed_step);
}

TEST(Judge, ASchedulerThatCameBackDidNotLeave) {
  SyntheticRun run = hotplug_exit();
  run.advance_ms(1500);
  SchedulerAttachedT again;
  again.ops_name = "good";
  again.enable_seq = 2;
  again.elapsed_ns = 1'500'000'000;
  again.restart = 1;
  run.add(std::move(again));
  run.monitor_samples(10);
  run.report_workers();
  run.finish_workload();
  run.power_off();
  run.complete();
  const Judgement j = verdict(run);
  EXPECT_EQ(ExitCode::kPass, j.code) << j.summary;
  EXPECT_THAT(j.notes, Contains(HasSubstr("restarted: the scheduler's process loaded it again 1 time")));
}

TEST(Judge, AProcessThatEndedInOrderDidNotDie) {
  SyntheticRun run("ends", "x");
  run.boot();
  run.attach("x");
  run.start_workload();
  run.console({"[    6.473187] sched_ext: BPF scheduler \"x\" disabled (unregistered from user space)"});
  run.detach("x");
  run.finish_workload();
  run.power_off(true);
  run.complete();
  EXPECT_THAT(verdict(run).summary, StartsWith("scheduler x's process ended by itself: exit code 0"));
}

// A scheduler that never attached, in every way there is.
SyntheticRun unattached(const std::string& error, bool started) {
  SyntheticRun run("never", "x");
  run.boot();
  if (started) {
    SchedulerStartedT scheduler;
    scheduler.argv = {"/ktstr/sched/scx_x"};
    run.add(std::move(scheduler));
  }
  GuestFailedT failed;
  failed.stage = Stage::SchedulerStarted;
  failed.error = error;
  run.add(std::move(failed));
  return run;
}

void end_unattached(SyntheticRun& run, bool requested, int code) {
  SchedulerExitedT exit;
  exit.exit_code = code;
  exit.requested = requested;
  run.add(std::move(exit));
  run.add(GuestFinishedT{});
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
}

TEST(Judge, MissingBinary) {
  SyntheticRun run = unattached("start /ktstr/sched/scx_x: No such file or directory", false);
  run.add(GuestFinishedT{});
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
  EXPECT_EQ("scheduler x could not be started: start /ktstr/sched/scx_x: No such file or directory",
            verdict(run).summary);
  EXPECT_EQ(FailureKind::kNotStarted, verdict(run).kind);
}

TEST(Judge, NeverAttached) {
  SyntheticRun run = unattached("did not attach within 30.0 s", true);
  end_unattached(run, true, 0);
  EXPECT_EQ(FailureKind::kNeverAttached, verdict(run).kind);
  EXPECT_THAT(verdict(run).summary, HasSubstr("never attached: did not attach within 30.0 s"));
  EXPECT_EQ(ExitCode::kTestFailed, verdict(run).code);
}

TEST(Judge, ExitBeforeAttach) {
  SyntheticRun run = unattached("ended (exit code 1)", true);
  run.scheduler_output(sample("scx_exit_early.sched.txt"));
  end_unattached(run, false, 1);
  EXPECT_EQ(FailureKind::kDiedUnattached, verdict(run).kind);
  EXPECT_THAT(verdict(run).summary, HasSubstr("policy.conf: No such file"));
}

// As scx_bpfland 1.1.4 answers --slice-uss: the last line says nothing.
TEST(Judge, ARejectedCommandLineIsNamed) {
  SyntheticRun run("usage", "bpfland");
  run.boot();
  SchedulerStartedT started;
  started.argv = {"/ktstr/sched/scx_bpfland", "--slice-uss", "500"};
  run.add(std::move(started));
  for (const char* text :
       {"error: unexpected argument '--slice-uss' found", "",
        "  tip: a similar argument exists: '--slice-us'", "", "Usage: scx_bpfland --slice-us <SLICE_US>", "",
        "For more information, try '--help'."}) {
    SchedulerLineT line;
    line.stream = OutputStream::Stderr;
    line.text = text;
    run.add(std::move(line));
  }
  SchedulerExitedT exit;
  exit.exit_code = 2;
  run.add(std::move(exit));
  run.add(GuestFinishedT{});
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
  const Judgement j = verdict(run);
  EXPECT_EQ(FailureKind::kDiedUnattached, j.kind);
  EXPECT_EQ(FailedStep::Start, j.failed_step);
  EXPECT_EQ(
      "scheduler bpfland ended before it attached: exit code 2; it rejects its command line: error: "
      "unexpected argument '--slice-uss' found",
      j.summary);
  EXPECT_THAT(j.advice, HasSubstr("its own tip: a similar argument exists: '--slice-us'"));
}

// scx_rustland with --stats=-1: the thread of its statistics dies, the scheduler lives. A pass says so.
TEST(Judge, AThreadThatPanickedIsSaidAlthoughItsProcessLived) {
  SyntheticRun run("threads", "rustland");
  run.boot();
  run.attach("rustland");
  run.start_workload();
  for (const char* text :
       {"thread '<unnamed>' (104) panicked at /rustc/59807616e1fa2540/library/core/src/time.rs:962:23:",
        "cannot convert float seconds to Duration: value is negative", "stack backtrace:"}) {
    SchedulerLineT line;
    line.stream = OutputStream::Stderr;
    line.text = text;
    run.add(std::move(line));
  }
  run.monitor_samples(50);
  run.finish_workload();
  run.report_workers();
  run.power_off();
  run.complete();
  const Judgement j = verdict(run);
  EXPECT_EQ(Outcome::Pass, j.outcome) << j.summary;
  EXPECT_THAT(j.notes,
              Contains(HasSubstr("also from the scheduler: a thread of its process panicked at time.rs:962: "
                                 "cannot convert float seconds to Duration: value is negative")));
}

TEST(Judge, VmEndsAreToldApart) {
  struct Case {
    VmEnd end;
    bool booted;
    FailureKind kind;
    ExitCode code;
    const char* words;
  };
  const Case cases[] = {
      {VmEnd::TimedOut, false, FailureKind::kBootFailed, ExitCode::kInfrastructure,
       "boot hung: last stage: kernel booting"},
      {VmEnd::Died, false, FailureKind::kBootFailed, ExitCode::kInfrastructure, "boot failed"},
      {VmEnd::QemuFailed, false, FailureKind::kQemuFailed, ExitCode::kInfrastructure, "QEMU failed"},
      {VmEnd::TimedOut, true, FailureKind::kHang, ExitCode::kTestFailed,
       "guest hung: last stage: workload running"},
      {VmEnd::Died, true, FailureKind::kGuestDied, ExitCode::kTestFailed, "guest died without a message"},
  };
  for (const Case& c : cases) {
    for (bool expect_err : {false, true}) {
      SyntheticRun run = SyntheticRun();
      run.spec().expect_err = expect_err;
      if (c.booted) {
        run.boot();
        run.attach("demo");
        run.start_workload();
      } else {
        run.add(VmStartedT{});
        run.console({"[    0.000000] Linux version 7.3.4"});
      }
      run.vm_end(c.end, Vm::Primary, "boot 60 s x1.0");
      run.complete();
      Judgement j = verdict(run);
      EXPECT_EQ(c.kind, j.kind) << c.words;
      EXPECT_EQ(c.code, j.code) << c.words;
      EXPECT_THAT(j.summary, StartsWith(c.words));
      EXPECT_NE(Outcome::Pass, j.outcome);
    }
  }
}

// The launcher ends the VM when the collector is lost, and nobody hears the guest any more.
TEST(Judge, ALostCollectorIsNoFindingHoweverTheVmEnded) {
  for (VmEnd end : {VmEnd::Died, VmEnd::TimedOut, VmEnd::PoweredOff}) {
    for (int stage = 0; stage < 4; ++stage) {
      for (bool expect_err : {false, true}) {
        SyntheticRun run("steady", "demo");
        run.spec().expect_err = expect_err;
        if (stage == 0) run.add(VmStartedT{});
        if (stage > 0) run.boot();
        if (stage > 1) run.attach("demo");
        if (stage > 2) run.start_workload();
        run.vm_end(end, Vm::Primary, "boot 60 s x1.0");
        VmSettledT settled;
        settled.missing = {"collector: killed by signal 9 (Killed)"};
        run.add(std::move(settled));
        run.complete();
        const Judgement j = verdict(run);
        EXPECT_EQ(j.code, ExitCode::kInfrastructure)
            << EnumNameVmEnd(end) << " " << stage << " " << j.summary;
        EXPECT_EQ(j.kind, FailureKind::kNone) << j.summary;
        EXPECT_THAT(j.summary, HasSubstr("collector")) << "says what is missing";
      }
    }
  }
}

TEST(Judge, ACrashThatWasSeenStaysAFindingWhenTheCollectorIsLostAfterIt) {
  SyntheticRun run("steady", "demo");
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.add(SyntheticRun::crash(1025, "scx_bpf_error", "no such cell", {}));
  run.vm_end(VmEnd::Died);
  VmSettledT settled;
  settled.missing = {"collector: killed by signal 9 (Killed)"};
  run.add(std::move(settled));
  run.complete();
  EXPECT_EQ(verdict(run).kind, FailureKind::kSchedulerCrash);
  EXPECT_EQ(verdict(run).code, ExitCode::kTestFailed);
}

TEST(Judge, AHelperInAHeaderIsFollowedByTheSourceThatUsesIt) {
  SyntheticRun run("loop", "dispatch_loop");
  run.boot();
  run.attach("dispatch_loop");
  run.start_workload();
  run.add(SyntheticRun::crash(
      1024, "runtime error", "dispatch buffer overflow",
      {{.function = "scx_bpf_dsq_insert___v2"},
       {.function = "hand_out", .tag = "a6", .file = "/src/compat.bpf.h", .line = 105, .text = "insert(p);"},
       {.function = "round", .tag = "a3", .file = "/src/loop.bpf.c", .line = 42},
       {.function = "loop_dispatch", .tag = "72", .file = "/src/loop.bpf.c", .line = 60},
       {.function = "bpf__sched_ext_ops_dispatch"}}));
  EXPECT_EQ(
      "runtime error: dispatch buffer overflow (compat.bpf.h:105 in hand_out, called by loop_dispatch, from "
      "loop.bpf.c:42 in round: insert(p);)",
      verdict(run).summary);
}

TEST(Judge, PanicBeforeInitIsAFailedBoot) {
  SyntheticRun run;
  run.add(VmStartedT{});
  run.console({"[    0.0] Linux version 7.3.4"});
  CrashDetectedT panic;
  panic.kind = CrashKind::KernelPanic;
  panic.message = "VFS: Unable to mount root fs";
  run.add(std::move(panic));
  run.vm_end(VmEnd::Died);
  run.complete();
  EXPECT_EQ(ExitCode::kInfrastructure, verdict(run).code);
}

TEST(Judge, AStageThatDoesNotExistIsIgnored) {
  SyntheticRun run("steady", "good");
  run.boot();
  StageReachedT lie;
  lie.stage = static_cast<Stage>(200);
  run.add(std::move(lie));
  EXPECT_THAT(run.text(), HasSubstr("last stage of the guest: test plan read"));
}

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

TEST(Judge, ArtefactIsInconclusive) {
  SyntheticRun run;
  run.spec().expect_err = true;
  run.boot();
  run.attach("demo");
  CrashDetectedT oops;
  oops.kind = CrashKind::KernelOops;
  oops.reason = "Oops: int3";
  oops.artefact = "Oops: int3 while kernel text was patched under emulation";
  run.add(std::move(oops));
  run.vm_end(VmEnd::Died);
  run.complete();
  EXPECT_EQ(ExitCode::kInconclusive, verdict(run).code);
  EXPECT_EQ(Outcome::Inconclusive, verdict(run).outcome);
}

TEST(Judge, Interrupted) {
  SyntheticRun run;
  run.boot();
  RunInterruptedT interrupted;
  interrupted.signal = SIGINT;
  run.add(std::move(interrupted), Vm::Host);
  run.vm_end(VmEnd::Interrupted);
  run.complete();
  EXPECT_EQ(ExitCode::kInterrupted, verdict(run).code);
  EXPECT_THAT(run.text(), StartsWith("BUG SUMMARY: interrupted by SIGINT\n"));
}

TEST(Judge, LostCollectorTakesThePassAway) {
  SyntheticRun run("steady", "good");
  run.boot();
  run.attach("good");
  run.start_workload();
  run.finish_workload();
  run.report_workers();
  run.power_off();
  VmSettledT settled;
  settled.missing = {"collector: killed by signal 9"};
  run.add(std::move(settled));
  run.add(FactsCompletedT{}, Vm::Host);
  EXPECT_EQ(ExitCode::kInfrastructure, verdict(run).code);
  EXPECT_THAT(run.text(), HasSubstr("note: incomplete: collector: killed by signal 9"));
}

TEST(Judge, UnfinishedRunIsNoPass) {
  SyntheticRun run("steady", "good");
  run.boot();
  run.attach("good");
  EXPECT_EQ(ExitCode::kInconclusive, verdict(run).code);
  EXPECT_THAT(run.text(), HasSubstr("the run did not finish: the log ends after event"));
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

// The build of the kernel is at fault, not the scheduler: no verdict on it.
TEST(Judge, AKernelWhoseBtfIsDamagedIsNamedAndNotTheScheduler) {
  const auto loaded_on = [](std::vector<std::string> damaged) {
    SyntheticRun run("never", "x");
    run.started().kernel->damaged_kfuncs = std::move(damaged);
    run.boot();
    SchedulerStartedT scheduler;
    scheduler.argv = {"/ktstr/sched/scx_x"};
    run.add(std::move(scheduler));
    run.scheduler_output(
        {"libbpf: extern (func ksym) 'scx_bpf_create_dsq': func_proto [551] incompatible with vmlinux "
         "[48700]",
         "libbpf: failed to load object 'x'"});
    GuestFailedT failed;
    failed.stage = Stage::SchedulerStarted;
    failed.error = "ended";
    run.add(std::move(failed));
    end_unattached(run, false, 1);
    return verdict(run);
  };
  const Judgement damaged = loaded_on({"scx_bpf_kick_cpu", "scx_bpf_create_dsq"});
  EXPECT_EQ(FailureKind::kKernelDamaged, damaged.kind);
  EXPECT_EQ(ExitCode::kInfrastructure, damaged.code);
  EXPECT_THAT(damaged.summary, HasSubstr("its BTF describes scx_bpf_create_dsq wrongly (2 kfuncs in all)"));
  EXPECT_EQ(FailureKind::kLoadFailed, loaded_on({}).kind);
  EXPECT_EQ(FailureKind::kLoadFailed, loaded_on({"scx_bpf_kick_cpu"}).kind) << "another kfunc";
}

TEST(Judge, ExpectedErrorFromTheWrongPlace) {
  SyntheticRun run = unattached("ended (exit code 1)", true);
  run.spec().expect_err = true;  // read with RunStarted, which is already out
  SyntheticRun early("never", "x");
  early.spec().expect_err = true;
  early.boot();
  SchedulerStartedT scheduler;
  scheduler.argv = {"/ktstr/sched/scx_x"};
  early.add(std::move(scheduler));
  early.scheduler_output(sample("scx_verifier_reject.sched.txt"));
  GuestFailedT failed;
  failed.stage = Stage::SchedulerStarted;
  failed.error = "ended";
  early.add(std::move(failed));
  end_unattached(early, false, 1);
  EXPECT_EQ(FailureKind::kLoadFailed, verdict(early).kind);
  EXPECT_EQ(ExitCode::kTestFailed, verdict(early).code);
}

// scx_rustland on a host with a load of 14: each CPU of its guest got 330 ms in 4 s.
TEST(Judge, AStallThatTheHostMadeIsNoFinding) {
  for (const uint64_t host_wait_ms : {84, 40}) {
    SyntheticRun run("steady", "demo");
    run.boot();
    run.attach("demo");
    run.start_workload();
    for (uint64_t i = 0; i < 41; ++i) {
      MonitorSampleT s;
      s.scx_enabled = true;
      s.cpus.push_back(std::make_unique<CpuSampleT>());
      auto task = [](int pid, const char* comm) {
        auto t = std::make_unique<TaskSeenT>();
        t->pid = pid;
        t->comm = comm;
        t->sched_class = SchedClass::Ext;
        return t;
      };
      s.cpus[0]->curr = task(7, "hog");
      s.cpus[0]->longest_waiting = task(15, "rcu_preempt");
      s.cpus[0]->longest_waiting->wait_ns = 50'000'000 + i * 100'000'000;
      s.vcpus.push_back(std::make_unique<VcpuThreadT>());
      s.vcpus[0]->wait_ns = i * host_wait_ms * 1'000'000 + (host_wait_ms == 84 ? i * 5'000'000 : 0);
      run.advance_ms(100).add(std::move(s));
    }
    run.add(SyntheticRun::crash(1026, "runnable task stall", "watchdog failed to check in for 5.004s", {}));
    run.power_off();
    run.complete();
    const Judgement j = verdict(run);
    if (host_wait_ms == 40) {
      EXPECT_EQ(ExitCode::kTestFailed, j.code) << j.summary;
      continue;
    }
    EXPECT_EQ(Outcome::Inconclusive, j.outcome) << j.summary;
    EXPECT_THAT(j.summary, StartsWith("no verdict: the host ran the guest's"));
    EXPECT_THAT(j.summary, HasSubstr("in which rcu_preempt[15] waited"));
  }
}

// The end of a run in which somebody stopped QEMU for a while.
Judgement stopped_qemu(SyntheticRun& run, VmEnd end) {
  run.vm_end(end, Vm::Primary, end == VmEnd::TimedOut ? "workload: 63.0 s after \"workload running\"" : "");
  VmSettledT settled;
  settled.missing = {"QEMU: was stopped by a signal for 40.0 s"};
  run.add(std::move(settled));
  run.complete();
  return verdict(run);
}

TEST(Judge, WhatAClockFoundWhileQemuWasStoppedIsNoFinding) {
  for (const bool expect_err : {false, true}) {
    for (const uint64_t kind : {uint64_t{1026}, uint64_t{0}}) {
      SyntheticRun run("steady", "demo");
      run.spec().expect_err = expect_err;
      run.boot();
      run.attach("demo");
      run.start_workload();
      if (kind != 0)
        run.add(SyntheticRun::crash(kind, "runnable task stall", "w[7] failed to run for 40.1s", {}));
      const Judgement j = stopped_qemu(run, kind != 0 ? VmEnd::PoweredOff : VmEnd::TimedOut);
      EXPECT_EQ(ExitCode::kInfrastructure, j.code) << j.summary;
      EXPECT_EQ(Outcome::Inconclusive, j.outcome);
      EXPECT_THAT(j.summary, HasSubstr("QEMU: was stopped by a signal for 40.0 s"));
      EXPECT_EQ("", j.signature);
    }
  }
}

TEST(Judge, AnErrorOfTheSchedulerStaysOneThoughQemuWasStopped) {
  SyntheticRun run("steady", "demo");
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.add(SyntheticRun::crash(1025, "scx_bpf_error", "no such cell", {}));
  const Judgement j = stopped_qemu(run, VmEnd::PoweredOff);
  EXPECT_EQ(FailureKind::kSchedulerCrash, j.kind) << "no clock found it";
  EXPECT_EQ(ExitCode::kTestFailed, j.code);
}

TEST(Judge, ACheckWhoseHelperWasLostIsABrokenMachineNotADoubt) {
  for (const bool lost : {false, true}) {
    SyntheticRun run("steady", "demo");
    run.spec().enforce = true;
    run.boot();
    run.attach("demo");
    run.start_workload();  // the monitor says nothing
    run.report_workers();
    run.finish_workload();
    run.detach("demo");
    run.add(GuestFinishedT{});
    run.vm_end(VmEnd::PoweredOff);
    VmSettledT settled;
    if (lost) settled.missing = {"monitor: killed by signal 9 (Killed)"};
    run.add(std::move(settled));
    run.complete();
    const Judgement j = verdict(run);
    EXPECT_EQ(lost ? ExitCode::kInfrastructure : ExitCode::kInconclusive, j.code) << j.summary;
    EXPECT_EQ(lost, j.summary.find("monitor: killed by signal 9") != std::string::npos) << j.summary;
  }
}

TEST(Judge, ExitCodesMerge) {
  EXPECT_EQ(ExitCode::kTestFailed, merge_exit_codes(ExitCode::kPass, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kTestFailed, merge_exit_codes(ExitCode::kInfrastructure, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kInterrupted, merge_exit_codes(ExitCode::kInterrupted, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kPass, merge_exit_codes(ExitCode::kPass, ExitCode::kPass));
}

}  // namespace
}  // namespace ktstr::testing
