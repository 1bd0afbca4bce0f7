// Whole reports against golden files, from runs told with text of real kernels. After a wanted change:
//   KTSTR_UPDATE_GOLDEN=1 build/release/unit/reporter_test --gtest_filter='GoldenReport.*' && git diff
//   reporter/testdata/golden
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "reporter/testing/synthetic_run.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(KTSTR_REPORTER_TESTDATA) + "/golden/" + name + ".txt";
  if (std::getenv("KTSTR_UPDATE_GOLDEN")) std::ofstream(path) << text;
  std::ifstream in(path);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(golden.str(), text) << "differs from " << path;
}

std::unique_ptr<DecodedValueT> value(const char* name, const char* type, const char* entry,
                                     const char* exit = "") {
  auto v = std::make_unique<DecodedValueT>();
  v->name = name;
  v->type_name = type;
  v->entry = entry;
  v->exit = exit;
  return v;
}

TEST(GoldenReport, Pass) { expect_golden("pass", SyntheticRun::good().text()); }

TEST(GoldenReport, CrashWithRepro) {
  SyntheticRun run = SyntheticRun::demo_crash();
  ReproRequestedT requested;
  requested.plan = std::make_unique<ProbePlanT>();
  run.add(std::move(requested), Vm::Host);
  run.boot(Vm::Repro, 1);
  ProbeAttachedT probes;
  probes.attach_ns = 310'000'000;
  probes.hold_ns = 220'000'000;
  probes.attached = {0, 1, 2, 3};
  run.add(std::move(probes), Vm::Repro, 1);
  run.attach("demo", Vm::Repro);
  run.start_workload(Vm::Repro);
  run.advance_ms(700);
  run.dump(sample("7.3-scx_demo.dump.txt"), Vm::Repro);
  run.scheduler_output(sample("scx_demo.sched.txt"), Vm::Repro);
  run.console(sample("scx_demo.console.txt"), Vm::Repro);
  run.power_off(true, 0, 0, Vm::Repro);
  run.add(VmSettledT{}, Vm::Repro, 1);
  ReproFinishedT repro;
  repro.status = ReproStatus::SameSignature;
  repro.signature_primary = "401:demo: budget of # enqueues:demo_charge<demo_place<demo_enqueue";
  repro.signature_repro = repro.signature_primary;
  repro.tries = repro.same = 1;
  repro.hits = 2512;
  repro.trigger = "tp_btf/sched_ext_exit";
  auto kernel_call = std::make_unique<DecodedCallT>();
  kernel_call->function = "put_prev_task_scx";
  kernel_call->signature =
      "void put_prev_task_scx(struct rq *rq, struct task_struct *p, struct task_struct *next)";
  kernel_call->source = "kernel/sched/ext/ext.c:2904";
  kernel_call->hit = true;
  kernel_call->ns_before = 81'300;
  kernel_call->cpu = 2;
  kernel_call->pid = 118;
  kernel_call->comm = "yield_0";
  kernel_call->values.push_back(value("rq", "struct rq *", "0xffff9d3a3f531a40"));
  kernel_call->values.push_back(value("p->pid", "int", "118"));
  kernel_call->values.push_back(value("p->scx.slice", "u64", "20000000", "0"));
  repro.calls.push_back(std::move(kernel_call));
  auto callback = std::make_unique<DecodedCallT>();
  callback->function = "demo_enqueue";
  callback->kind = ProbeKind::Callback;
  callback->signature = "void demo_enqueue(struct task_struct *p, u64 enq_flags)";
  callback->source = "scx_demo.bpf.c:50";
  callback->source_text = "void BPF_STRUCT_OPS(demo_enqueue, struct task_struct *p, u64 enq_flags)";
  callback->caller = "scx_do_enqueue_task";
  callback->hit = true;
  callback->ns_before = 22'900;
  callback->cpu = 2;
  callback->pid = 118;
  callback->comm = "yield_0";
  callback->values.push_back(value("enq_flags", "u64", "SCX_ENQ_REENQ|0x8"));
  callback->retval = "0";
  repro.calls.push_back(std::move(callback));
  auto missed = std::make_unique<DecodedCallT>();
  missed->function = "demo_place";
  missed->kind = ProbeKind::Subprog;
  missed->note = "inlined into demo_enqueue";
  repro.calls.push_back(std::move(missed));
  auto dropped = std::make_unique<DroppedFrameT>();
  dropped->function = "scx_exit_bstr";
  dropped->reason = "exit machinery";
  repro.dropped.push_back(std::move(dropped));
  run.add(std::move(repro), Vm::Host);
  run.add(FactsCompletedT{}, Vm::Host);
  expect_golden("crash_with_repro", run.text());
}

TEST(GoldenReport, Stall) {
  SyntheticRun run("task_lost", "stall");
  run.boot();
  run.console(sample("scx_stall.console.txt"));
  run.attach("stall");
  run.start_workload();
  run.monitor_samples(30, 3);
  run.dump(sample("scx_stall.dump.txt"));
  run.scheduler_output(sample("scx_stall.sched.txt"));
  run.detach("stall");
  run.finish_workload();
  run.report_workers();
  run.power_off(true);
  CrashDetectedT c = SyntheticRun::crash(
      0x402, "runnable task stall", "pipe_7[125] failed to run for 2.964s",
      {{.function = "scx_vexit", .offset = 0x6d}, {.function = "scx_watchdog_workfn", .offset = 0x1b6}});
  c.stall_task_comm = "pipe_7";
  c.stall_task_pid = 125;
  c.stall_ns = 2'964'000'000;
  run.add(std::move(c));
  run.complete();
  expect_golden("stall", run.text());
}

TEST(GoldenReport, VerifierReject) {
  SyntheticRun run("refused", "verifier_reject");
  run.boot();
  run.console(sample("scx_verifier_reject.console.txt"));
  SchedulerStartedT scheduler;
  scheduler.argv = {"/ktstr/sched/scx_verifier_reject"};
  run.add(std::move(scheduler));
  run.scheduler_output(sample("scx_verifier_reject.sched.txt"));
  GuestFailedT failed;
  failed.stage = Stage::SchedulerStarted;
  failed.error = "scheduler \"verifier_reject\" ended (exit code 1) before sched_ext was enabled";
  run.add(std::move(failed));
  run.power_off(true, 1);
  run.complete();
  expect_golden("verifier_reject", run.text());
}

}  // namespace
}  // namespace ktstr::testing
