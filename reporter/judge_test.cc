// How a scheduler ends, and what that is called: outcome, exit code, beginning of the summary.
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

// As scx_layered 1.1.4 says it on a kernel without a configuration: it lets no line of libbpf through.
TEST(Judge, ALoadThatFailedWithoutAReasonSaysSoAndHowToGetIt) {
  SyntheticRun run = unattached("scheduler ended (exit code 1) before sched_ext was enabled", true);
  run.scheduler_output(
      {"Error: Failed to load BPF program", "", "Caused by:", "    Invalid argument (os error 22)"});
  end_unattached(run, false, 1);
  EXPECT_THAT(verdict(run).summary,
              HasSubstr("did not load: Invalid argument (os error 22) (neither libbpf nor the "
                        "verifier printed a reason)"));
  EXPECT_THAT(run.text(), HasSubstr("fix:       let the scheduler print what libbpf says"));
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

TEST(Judge, ExitCodesMerge) {
  EXPECT_EQ(ExitCode::kTestFailed, merge_exit_codes(ExitCode::kPass, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kTestFailed, merge_exit_codes(ExitCode::kInfrastructure, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kInterrupted, merge_exit_codes(ExitCode::kInterrupted, ExitCode::kTestFailed));
  EXPECT_EQ(ExitCode::kPass, merge_exit_codes(ExitCode::kPass, ExitCode::kPass));
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

}  // namespace
}  // namespace ktstr::testing
