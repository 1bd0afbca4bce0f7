#include "reproer/reproer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bpf/elf_btf.h"
#include "bpf/hits.h"
#include "bpf/kernel_sources.h"
#include "reproer/testing/makers.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

class Repro : public testing::Test {
 protected:
  Repro() : reproer_([this](const KernelInfoT& k) { return load(k); }) {
    run_.tool_version = "t";
    run_.run_id = "r";
    run_.spec = std::make_unique<TestSpecT>();
    run_.spec->name = "t";
    run_.spec->topology = std::make_unique<TopologyT>();
    run_.spec->scheduler = std::make_unique<SchedulerSpecT>();
    run_.spec->scheduler->name = "x";
    run_.spec->scheduler->binary = "scx_x";
    run_.kernel = std::make_unique<KernelInfoT>();
    run_.kernel->release = "7.3";
  }
  KernelKnowledge load(const KernelInfoT&) {
    KernelKnowledge k;
    auto bytes = read_elf_btf(KTSTR_KERNEL_TYPES);
    k.types = std::move(*BtfView::from_bytes(*bytes));
    k.source = [](const std::string& f, uint32_t) {
      return SourcePlace{f + ".c:1", {{"small", "small.h:2"}}};
    };
    ++loads_;
    return k;
  }
  template <typename T>
  std::optional<Reproer::Answer> send(T payload, Vm vm = Vm::Primary, uint8_t attempt = 0) {
    return reproer_.on_event(
        make_event({.run_id = "r", .source = "s", .vm = vm, .attempt = attempt}, std::move(payload)));
  }
  void start() { EXPECT_FALSE(send(std::move(run_), Vm::Host)); }
  void reach(Stage stage, Vm vm = Vm::Primary, uint8_t attempt = 0) {
    StageReachedT s;
    s.stage = stage;
    EXPECT_FALSE(send(std::move(s), vm, attempt));
  }
  void crash(Vm vm = Vm::Primary, uint8_t attempt = 0, const char* message = "spent",
             const char* artefact = "") {
    CrashDetectedT c = demo_crash();
    c.message = message;
    c.artefact = artefact;
    EXPECT_FALSE(send(std::move(c), vm, attempt));
  }
  Reproer::Answer settle(Vm vm = Vm::Primary, uint8_t attempt = 0) {
    auto a = send(VmSettledT{}, vm, attempt);
    EXPECT_TRUE(a.has_value()) << "every VmSettled is answered";
    return std::move(*a);
  }
  // The primary crashed under load; the first request.
  ReproRequestedT requested() {
    start();
    reach(Stage::WorkloadStarted);
    send(program("enqueue", {"x_enqueue", "x_place"}));
    crash();
    return std::get<ReproRequestedT>(settle());
  }

  RunStartedT run_;
  Reproer reproer_;
  int loads_ = 0;
};

TEST_F(Repro, ACrashAsksForAVmWithItsChain) {
  ReproRequestedT r = requested();
  EXPECT_EQ(r.attempt, 1u);
  ASSERT_EQ(r.plan->targets.size(), 3u);
  EXPECT_EQ(r.plan->targets[0]->function, "x_place");
  EXPECT_EQ(r.plan->targets[2]->source, "do_enqueue_task.c:1");
  ASSERT_EQ(r.plan->dropped.size(), 4u);
  EXPECT_EQ(r.plan->dropped[3]->function, "small");
  EXPECT_EQ(r.plan->dropped[3]->reason, "inlined into do_enqueue_task (small.h:2)");
}

TEST_F(Repro, TheSameSignatureEndsIt) {
  requested();
  reach(Stage::WorkloadStarted, Vm::Repro, 1);
  crash(Vm::Repro, 1);
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 1));
  EXPECT_EQ(f.status, ReproStatus::SameSignature);
  EXPECT_EQ(f.tries, 1u);
  EXPECT_EQ(f.same, 1u);
  EXPECT_EQ(f.signature_primary, f.signature_repro);
  EXPECT_EQ(f.calls.size(), 3u) << "the chain is shown even when nothing was hit";
  EXPECT_EQ(f.dropped.size(), 4u);
  EXPECT_EQ(f.hit_source, HitSource::Lost);
}

TEST_F(Repro, TheCostIsHowMuchSlowerTheWorkersWere) {
  auto work = [](uint64_t iterations) {
    WorkerReportT w;
    w.cgroup = "cg_0";
    w.iterations = iterations;
    w.wall_ns = 1'000'000'000;
    return w;
  };
  send(work(3000));
  requested();
  ProbeAttachedT attached;
  attached.attached = {0};
  send(std::move(attached), Vm::Repro, 1);
  send(work(2000), Vm::Repro, 1);
  crash(Vm::Repro, 1);
  EXPECT_FLOAT_EQ(std::get<ReproFinishedT>(settle(Vm::Repro, 1)).slowdown, 1.5f);
}

TEST_F(Repro, AnotherCrashIsSaidSo) {
  requested();
  crash(Vm::Repro, 1, "something else");
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 1));
  EXPECT_EQ(f.status, ReproStatus::DifferentCrash);
  EXPECT_NE(f.signature_primary, f.signature_repro);
  EXPECT_EQ(f.same, 0u);
}

TEST_F(Repro, NoCrashUnderLoadIsNotReproducedWithoutLoadItFailed) {
  requested();
  reach(Stage::WorkloadStarted, Vm::Repro, 1);
  EXPECT_EQ(std::get<ReproFinishedT>(settle(Vm::Repro, 1)).status, ReproStatus::NotReproduced);
}

TEST_F(Repro, AVmThatNeverGotThereFailed) {
  requested();
  reach(Stage::SchedulerStarted, Vm::Repro, 1);
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 1));
  EXPECT_EQ(f.status, ReproStatus::VmFailed);
  EXPECT_EQ(f.last_stage, Stage::SchedulerStarted);
  EXPECT_FALSE(f.reached_workload);
}

TEST_F(Repro, TriesGiveARateAndTheBestIsShown) {
  run_.spec->repro_tries = 3;
  requested();
  reach(Stage::WorkloadStarted, Vm::Repro, 1);
  EXPECT_EQ(std::get<ReproRequestedT>(settle(Vm::Repro, 1)).attempt, 2u);
  crash(Vm::Repro, 2);
  EXPECT_EQ(std::get<ReproRequestedT>(settle(Vm::Repro, 2)).attempt, 3u);
  reach(Stage::WorkloadStarted, Vm::Repro, 3);
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 3));
  EXPECT_EQ(f.status, ReproStatus::SameSignature);
  EXPECT_EQ(f.tries, 3u);
  EXPECT_EQ(f.same, 1u);
  EXPECT_EQ(loads_, 1);
}

TEST_F(Repro, AnEmulatorArtefactIsRetriedAndNotCounted) {
  requested();
  crash(Vm::Repro, 1, "int3", "Oops: int3 under the emulator");
  EXPECT_EQ(std::get<ReproRequestedT>(settle(Vm::Repro, 1)).attempt, 2u);
  crash(Vm::Repro, 2);
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 2));
  EXPECT_EQ(f.status, ReproStatus::SameSignature);
  EXPECT_EQ(f.tries, 1u);
  EXPECT_EQ(f.artefact_retries, 1u);
}

TEST_F(Repro, NothingButArtefactsEndsToo) {
  requested();
  for (uint8_t attempt = 1; attempt <= 2; ++attempt) {
    crash(Vm::Repro, attempt, "int3", "Oops: int3");
    ASSERT_TRUE(std::holds_alternative<ReproRequestedT>(settle(Vm::Repro, attempt)));
  }
  crash(Vm::Repro, 3, "int3", "Oops: int3");
  EXPECT_EQ(std::get<ReproFinishedT>(settle(Vm::Repro, 3)).status, ReproStatus::EmulatorArtefact);
}

TEST_F(Repro, DeclinedWithAReason) {
  start();
  EXPECT_EQ(std::get<ReproDeclinedT>(settle()).cause, DeclineCause::NoCrash);
}

TEST_F(Repro, AutoReproOffIsRespected) {
  run_.spec->auto_repro = false;
  start();
  crash();
  EXPECT_EQ(std::get<ReproDeclinedT>(settle()).cause, DeclineCause::SwitchedOff);
}

TEST_F(Repro, AnExpectedCrashIsNotInvestigatedAnUnexpectedOneIs) {
  run_.spec->expect_err = true;
  run_.spec->expect_scx_bpf_error_matches = "budget of [0-9]+";
  start();
  reach(Stage::WorkloadStarted);
  crash();
  EXPECT_TRUE(std::holds_alternative<ReproRequestedT>(settle())) << "the pin is not in the corpus";
  DumpLineT line;
  line.text = "  scx_bpf_error (budget of 500)";
  send(std::move(line));
  EXPECT_EQ(std::get<ReproDeclinedT>(settle()).cause, DeclineCause::ExpectedCrash);
}

// The reproer's own corpus lost an empty first line: the verdict's pin matched, and the crash was reproduced anyway.
TEST_F(Repro, ThePinSeesTheCorpusOfTheVerdict) {
  run_.spec->expect_err = true;
  run_.spec->expect_scx_bpf_error_matches = "\\nbudget of [0-9]+";
  start();
  reach(Stage::WorkloadStarted);
  crash();
  for (const char* text : {"", "budget of 500"}) {
    SchedulerLineT line;
    line.text = text;
    send(std::move(line));
  }
  EXPECT_EQ(std::get<ReproDeclinedT>(settle()).cause, DeclineCause::ExpectedCrash);
}

TEST_F(Repro, ALyingGuestGetsAnAnswerToo) {
  start();
  reach(Stage::WorkloadStarted);
  BpfBtfT junk;
  junk.id = 23;
  junk.data.assign(5000, 0x9f);
  send(std::move(junk));
  BpfProgramT wild = program("enqueue", {"x_enqueue", "x_place"});
  wild.functions[1]->name = std::string(100000, 'x');
  wild.functions[0]->btf_type_id = 0xffffffff;
  send(std::move(wild));
  crash();
  auto r = std::get<ReproRequestedT>(settle());
  ASSERT_FALSE(r.plan->targets.empty());
  for (uint32_t target : {0u, 1u, 0xffffffffu}) {
    ProbeHitT h;
    h.target = target;
    h.ns = ~0ull;
    h.comm = "\x1b[2J";
    for (uint16_t i : {0, 1, 2, 65535}) {
      auto v = std::make_unique<ProbeValueT>();
      v->index = i;
      v->data.assign(i, 0xff);
      h.values.push_back(std::move(v));
    }
    send(std::move(h), Vm::Repro, 1);
  }
  ProbeTriggeredT t;
  t.stack = {"", "+", "bpf_prog_", std::string(1 << 20, '+')};
  send(std::move(t), Vm::Repro, 1);
  auto f = std::get<ReproFinishedT>(settle(Vm::Repro, 1));
  for (const auto& c : f.calls) EXPECT_EQ(c->comm.find('\x1b'), std::string::npos);
}

TEST_F(Repro, ASchedulerThatNeverAttachedIsNotRepeated) {
  start();
  reach(Stage::SchedulerStarted);
  SchedulerExitedT e;
  e.exit_code = 3;
  send(std::move(e));
  reach(Stage::GuestFinished);
  auto f = std::get<ReproFinishedT>(settle());
  EXPECT_EQ(f.status, ReproStatus::PrimaryDidNotReachWorkload);
  EXPECT_EQ(f.last_stage, Stage::SchedulerStarted);
}

TEST_F(Repro, ADeadProcessIsRepeatedWithTheCallbacksProbed) {
  start();
  reach(Stage::WorkloadStarted);
  send(program("enqueue", {"x_enqueue"}));
  SchedulerExitedT e;
  e.signal = 11;
  e.attached = true;
  send(std::move(e));
  auto r = std::get<ReproRequestedT>(settle());
  EXPECT_TRUE(r.plan->keep_by_task);
  EXPECT_THAT(r.plan->trigger_ladder, testing::Contains(probe::kAnyExit));
  EXPECT_EQ(r.plan->targets[0]->function, "x_enqueue");
  SchedulerExitedT again;
  again.signal = 11;
  again.attached = true;
  reach(Stage::WorkloadStarted, Vm::Repro, 1);
  send(std::move(again), Vm::Repro, 1);
  EXPECT_EQ(std::get<ReproFinishedT>(settle(Vm::Repro, 1)).status, ReproStatus::SameSignature);
}

TEST_F(Repro, EventsOfAnOldAttemptDoNotCount) {
  requested();
  crash(Vm::Repro, 0);  // not attempt 1
  reach(Stage::WorkloadStarted, Vm::Repro, 1);
  EXPECT_EQ(std::get<ReproFinishedT>(settle(Vm::Repro, 1)).status, ReproStatus::NotReproduced);
}

TEST(KernelSources, BuildFoldersAreCutOff) {
  EXPECT_EQ(tidy_source_path("/build/linux-7.3.4/debian/build/x/../../../kernel/sched/ext/ext.c",
                             "/build/linux-7.3.4/debian/build/x"),
            "kernel/sched/ext/ext.c");
  EXPECT_EQ(tidy_source_path("/build/rp/linux-7.3.4/kernel/sched/core.c", "/other"), "kernel/sched/core.c");
  EXPECT_EQ(tidy_source_path("kernel/sched/core.c", ""), "kernel/sched/core.c");
  EXPECT_EQ(tidy_source_path("./arch/x86/include/asm/a.h", ""), "arch/x86/include/asm/a.h");
}

}  // namespace
}  // namespace ktstr
