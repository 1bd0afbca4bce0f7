#include "reporter/testing/synthetic_run.h"

#include <gtest/gtest.h>

#include <fstream>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/guest_paths.h"
#include "schemas/log_writer.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::testing {

std::vector<std::string> sample(const std::string& name) {
  std::ifstream in(std::string(KTSTR_SCX_TESTDATA) + "/" + name);
  if (!in) ADD_FAILURE() << "no such sample: " << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

SyntheticRun::SyntheticRun(const std::string& test, const std::string& scheduler)
    : started_(std::make_unique<RunStartedT>()) {
  RunStartedT& r = *started_;
  r.tool_version = "0.1.0";
  r.run_id = "20261121-test";
  r.spec = std::make_unique<TestSpecT>();
  r.spec->name = test;
  if (!scheduler.empty()) {
    r.spec->scheduler = std::make_unique<SchedulerSpecT>();
    r.spec->scheduler->name = scheduler;
    r.spec->scheduler->binary = "scx_" + scheduler;
  }
  r.spec->topology = std::make_unique<TopologyT>();
  r.spec->topology->cores = 4;
  r.spec->cgroups.push_back(std::make_unique<CgroupSpecT>());
  r.spec->cgroups.back()->name = "cg_0";
  r.spec->cgroups.back()->workers = 2;
  r.spec->cgroups.back()->work = WorkType::YieldHeavy;
  // What an author gets who says nothing of them; but many a story has no samples: no CPU can be found stuck.
  r.spec->max_imbalance_ratio = 4;
  r.spec->max_local_dsq_depth = 50;
  r.spec->sustained_samples = 5;
  r.spec->max_fallback_rate = 200;
  r.spec->max_keep_last_rate = 100;
  r.kernel = std::make_unique<KernelInfoT>();
  r.kernel->release = "7.3.4+deb13-cloud-amd64";
  r.kernel->origin = "newest cached";
  r.accelerator = std::make_unique<AcceleratorInfoT>();
  r.accelerator->name = "tcg";
  r.accelerator->reason = "/dev/kvm opens but a guest does not run";
}

void SyntheticRun::environment(const std::string& name, const std::string& value) {
  auto pair = std::make_unique<KeyValueT>();
  pair->key = name;
  pair->value = value;
  started_->environment.push_back(std::move(pair));
}

void SyntheticRun::flush_start() {
  if (std::exchange(start_flushed_, true)) return;
  RunStartedT copy = *started_;
  push(std::move(copy), Vm::Host, 0, "launcher");
}

void SyntheticRun::console(const std::vector<std::string>& lines, Vm vm) {
  for (const std::string& text : lines) {
    ConsoleLineT line;
    line.text = text;
    add(std::move(line), vm);
  }
}

void SyntheticRun::scheduler_output(const std::vector<std::string>& lines, Vm vm) {
  for (const std::string& text : lines) {
    SchedulerLineT line;
    line.stream = OutputStream::Stderr;
    line.text = text;
    add(std::move(line), vm);
  }
}

void SyntheticRun::dump(const std::vector<std::string>& lines, Vm vm) {
  for (const std::string& text : lines) {
    DumpLineT line;
    line.text = text;
    add(std::move(line), vm);
  }
}

void SyntheticRun::boot(Vm vm, uint8_t attempt) {
  VmStartedT vm_started;
  vm_started.accelerator = "tcg";
  vm_started.vcpus = 4;
  add(std::move(vm_started), vm, attempt);
  guest_zero_ms_ = now_ms_ + 500;
  advance_ms(3000);
  GuestHelloT hello;
  hello.kernel_release = "7.3.4+deb13-cloud-amd64";
  hello.cpus = 4;
  hello.sched_ext = true;
  add(std::move(hello), vm, attempt);
  StageReachedT plan;
  plan.stage = Stage::PlanRead;
  add(std::move(plan), vm, attempt);
  if (vm == Vm::Primary) add(MonitorAttachedT{}, vm);
}

void SyntheticRun::attach(const std::string& ops, Vm vm) {
  PhaseStartedT phase;
  phase.name = "attach";
  add(std::move(phase), vm);
  advance_ms(5);
  SchedulerStartedT scheduler;
  scheduler.pid = 77;
  scheduler.argv = {std::string(kGuestSchedulers) + "scx_" + ops};
  add(std::move(scheduler), vm);
  advance_ms(900);
  SchedulerAttachedT attached;
  attached.ops_name = ops;
  attached.elapsed_ns = 900'000'000;
  add(std::move(attached), vm);
}

void SyntheticRun::start_workload(Vm vm) {
  PhaseStartedT phase;
  phase.name = "workload";
  add(std::move(phase), vm);
  advance_ms(20);
  StageReachedT stage;
  stage.stage = Stage::WorkloadStarted;
  stage.detail = "2 workers";
  add(std::move(stage), vm);
}

void SyntheticRun::monitor_samples(int count, unsigned busiest) {
  for (int i = 0; i < count; ++i) {
    advance_ms(100);
    MonitorSampleT s;
    s.index = sample_index_++;
    s.guest_clock_ns = now_ms_ * 1'000'000;
    s.cost_ns = 5000;
    s.scx_enabled = true;
    s.full = i % 10 == 0;
    for (uint16_t cpu = 0; cpu < 4; ++cpu) {
      auto c = std::make_unique<CpuSampleT>();
      c->cpu = cpu;
      c->nr_running = cpu == 0 ? busiest : 1;
      c->scx_nr_running = c->nr_running;
      c->local_dsq_depth = c->nr_running - 1;
      c->rq_clock = now_ms_ * 1'000'000;
      s.cpus.push_back(std::move(c));
    }
    auto counter = [&](const char* name, int64_t value) {
      auto c = std::make_unique<CounterT>();
      c->name = name;
      c->value = value;
      s.counters.push_back(std::move(c));
    };
    counter("SELECT_CPU_FALLBACK", static_cast<int64_t>(sample_index_));
    counter("DISPATCH_LOCAL_DSQ_OFFLINE", 0);
    counter("DISPATCH_KEEP_LAST", static_cast<int64_t>(2 * sample_index_));
    counter("ENQ_SKIP_EXITING", 7);
    counter("ENQ_SKIP_MIGRATION_DISABLED", 0);
    counter("REENQ_IMMED", 0);
    counter("BYPASS_ACTIVATE", 1);
    auto program = std::make_unique<ProgramSampleT>();
    program->id = 31;
    program->name = "demo_enqueue";
    program->verified_insns = 118;
    program->jited_bytes = 240;
    program->run_count = 10 * sample_index_;
    program->run_ns = 6200 * sample_index_;
    if (s.full) s.programs.push_back(std::move(program));
    add(std::move(s));
  }
}

void SyntheticRun::report_workers(uint64_t iterations) {
  for (uint32_t i = 0; i < 2; ++i) {
    WorkerReportT w;
    w.cgroup = "cg_0";
    w.index = i;
    w.work = WorkType::YieldHeavy;
    w.iterations = iterations + i;
    w.cpus = {static_cast<uint16_t>(i), static_cast<uint16_t>(i + 1)};
    w.wall_ns = 5'000'000'000;
    w.run_ns = 2'000'000'000 + i * 500'000'000;
    w.longest_gap_ns = 30'000'000 + i * 10'000'000;
    w.gap_cpu = static_cast<int>(i);
    w.migrations = 10 + i;
    add(std::move(w));
  }
}

void SyntheticRun::detach(const std::string& ops, Vm vm) {
  SchedulerDetachedT detached;
  detached.state = "disabled";
  detached.ops_name = ops;
  add(std::move(detached), vm);
}

void SyntheticRun::finish_workload(Vm vm) {
  PhaseStartedT phase;
  phase.name = "teardown";
  add(std::move(phase), vm);
  StageReachedT stage;
  stage.stage = Stage::WorkloadFinished;
  add(std::move(stage), vm);
}

void SyntheticRun::power_off(bool scheduler_ended_itself, int exit_code, int signal, Vm vm) {
  advance_ms(100);
  if (spec().scheduler) {
    SchedulerExitedT exit;
    exit.exit_code = exit_code;
    exit.signal = signal;
    exit.attached = true;
    exit.requested = !scheduler_ended_itself;
    add(std::move(exit), vm);
  }
  GuestFinishedT finished;
  finished.clean = true;
  add(std::move(finished), vm);
  advance_ms(200);
  vm_end(VmEnd::PoweredOff, vm);
}

void SyntheticRun::vm_end(VmEnd end, Vm vm, const std::string& deadline) {
  VmExitedT exit;
  exit.end = end;
  exit.duration_ns = now_ms_ * 1'000'000;
  exit.deadline = deadline;
  add(std::move(exit), vm);
  add(CollectorDrainedT{}, vm);
  add(MonitorStoppedT{}, vm);
}

void SyntheticRun::complete() {
  add(VmSettledT{});
  ReproDeclinedT declined;
  declined.reason = "nothing crashed";
  add(std::move(declined), Vm::Host);
  add(FactsCompletedT{}, Vm::Host);
}

CrashDetectedT SyntheticRun::crash(uint64_t kind, const std::string& reason, const std::string& message,
                                   const std::vector<FrameText>& frames) {
  CrashDetectedT c;
  c.kind = CrashKind::SchedExtExit;
  c.exit_kind = kind;
  c.reason = reason;
  c.message = message;
  c.source = "sched_ext_dump";
  for (const FrameText& f : frames) {
    auto frame = std::make_unique<ChainFrameT>();
    frame->function = f.function;
    frame->offset = f.offset;
    frame->tag = f.tag;
    frame->file = f.file;
    frame->line = f.line;
    frame->text = f.text;
    c.backtrace.push_back(std::move(frame));
  }
  return c;
}

SyntheticRun SyntheticRun::good() {
  SyntheticRun run("steady", "good");
  run.boot();
  run.attach("good");
  run.start_workload();
  run.monitor_samples(50);
  run.finish_workload();
  run.report_workers();
  run.power_off();
  run.complete();
  return run;
}

SyntheticRun SyntheticRun::demo_crash() {
  SyntheticRun run;
  add_demo_crash(run);
  return run;
}

void SyntheticRun::add_demo_crash(SyntheticRun& run) {
  run.boot();
  run.console(sample("scx_demo.console.txt"));
  run.attach("demo");
  run.start_workload();
  run.monitor_samples(12);
  run.dump(sample("7.3-scx_demo.dump.txt"));
  run.scheduler_output(sample("scx_demo.sched.txt"));
  run.detach("demo");
  run.finish_workload();
  run.report_workers();
  run.power_off(true, 0);
  CrashDetectedT c =
      crash(0x401, "scx_bpf_error", "demo: budget of 500 enqueues spent by yield_0[118] on cpu 2",
            {{.function = "scx_exit_bstr", .offset = 0xdd},
             {.function = "scx_bpf_error_bstr", .offset = 0x60},
             {.function = "demo_charge",
              .offset = 0x98,
              .tag = "8dd1a3ca63b2d85f",
              .file = "scx_demo.bpf.c",
              .line = 31,
              .text = "\tscx_bpf_error(\"demo: budget of %llu enqueues spent by %s[%d] on cpu %d\","},
             {.function = "demo_place",
              .offset = 0x3e,
              .tag = "db01083996f9c667",
              .file = "scx_demo.bpf.c",
              .line = 44},
             {.function = "demo_enqueue",
              .offset = 0x21,
              .tag = "fb794ccf58285a18",
              .file = "scx_demo.bpf.c",
              .line = 53},
             {.function = "bpf__sched_ext_ops_enqueue", .offset = 0x50},
             {.function = "scx_do_enqueue_task", .offset = 0x310},
             {.function = "put_prev_task_scx", .offset = 0x35e}});
  c.ops_name = "demo";
  c.task_comm = "pipe_7b";
  c.task_pid = 127;
  c.cpu = 2;
  run.add(std::move(c));
  run.add(VmSettledT{});
}

const std::vector<EventBuffer>& SyntheticRun::events() {
  flush_start();
  return events_;
}

Report SyntheticRun::report() {
  RunModel model;
  for (const EventBuffer& event : events()) model.fold(event);
  model.finish();
  return make_report(model);
}

void SyntheticRun::write_log(const std::filesystem::path& path) {
  auto writer = LogWriter::create(path.string());
  ASSERT_TRUE(writer.ok()) << writer.error().message();
  std::vector<EventBuffer> copies;
  for (const EventBuffer& event : events()) copies.push_back(event.clone());
  auto status = writer->append(copies);
  ASSERT_TRUE(status.ok());
}

}  // namespace ktstr::testing
