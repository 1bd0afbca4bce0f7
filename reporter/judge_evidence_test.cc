// When there is no verdict: a VM, a helper or the host failed, and not the scheduler.
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

TEST(Judge, ALockupOfAGuestThatTheHostDidNotRunIsNoFinding) {
  for (const bool starved : {true, false}) {
    SyntheticRun run("steady", "demo");
    run.boot();
    for (uint64_t i = 0; i < 20; ++i) {
      MonitorSampleT s;
      s.vcpus.push_back(std::make_unique<VcpuThreadT>());
      s.vcpus[0]->run_ns = i * (starved ? 20'000'000 : 80'000'000);
      s.vcpus[0]->wait_ns = i * (starved ? 80'000'000 : 20'000'000);
      run.advance_ms(100).add(std::move(s));
    }
    CrashDetectedT crash = SyntheticRun::crash(0, "soft lockup", "CPU#1 stuck for 26s", {});
    crash.kind = CrashKind::Lockup;
    run.add(std::move(crash));
    run.power_off();
    run.complete();
    const Judgement j = verdict(run);
    if (!starved) {
      EXPECT_EQ(ExitCode::kTestFailed, j.code) << j.summary;
      EXPECT_EQ("the guest's kernel locked up", j.reason);
      continue;
    }
    EXPECT_EQ(ExitCode::kInconclusive, j.code) << j.summary;
    EXPECT_THAT(j.summary, StartsWith("no verdict: the guest's CPUs waited 1.520 s for a host CPU"));
    EXPECT_EQ(j.reason.find("locked up"), std::string::npos);
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

// Its rate was measured on a host that did not run it: a stall of five guest seconds is one of two.
TEST(Judge, WhatAClockFoundThatRanAwayIsNoFinding) {
  for (const double rate : {1.0, 2.6}) {
    for (const bool deterministic : {false, true}) {
      SyntheticRun run("steady", "demo");
      if (deterministic) run.started().determinism = std::make_unique<DeterminismT>();
      run.boot();
      run.attach("demo");
      run.start_workload();
      for (uint64_t i = 0; i < 100; ++i) {
        MonitorSampleT s;
        s.index = static_cast<uint32_t>(i);
        s.scx_enabled = true;
        s.guest_clock_ns = 1'000'000'000 + static_cast<uint64_t>(static_cast<double>(i * 100'000'000) * rate);
        run.advance_ms(100).add(std::move(s));
      }
      run.add(SyntheticRun::crash(1026, "runnable task stall", "w[7] failed to run for 5.1s", {}));
      run.power_off();
      run.complete();
      const Judgement j = verdict(run);
      if (rate == 1.0 || deterministic) {
        EXPECT_EQ(ExitCode::kTestFailed, j.code) << j.summary;
        continue;
      }
      EXPECT_EQ(ExitCode::kInfrastructure, j.code) << j.summary;
      EXPECT_THAT(j.summary, StartsWith("no verdict: the guest's clock ran 2.6 times as fast as the host's"));
      EXPECT_THAT(j.detail, Contains(HasSubstr("is no finding: runnable task stall")));
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

}  // namespace
}  // namespace ktstr::testing
