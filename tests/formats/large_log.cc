// ktstr_large_log FILE [CPUS [MINUTES]]: the log of a run that never was, to try documents with: 64 CPUs and 10 minutes with ten
// samples a second, a crash at the end, and texts that try to break out of whatever shows them. Deterministic.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "schemas/log_writer.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr char kHostile[] =
    "</script><script>window.injected=1</script><img src=x onerror=\"window.injected=2\"><!--";
constexpr uint64_t kPeriodNs = 100'000'000;

class LargeLog {
 public:
  explicit LargeLog(LogWriter writer) : writer_(std::move(writer)) {}

  template <typename T>
  void add(T payload, Vm vm = Vm::Primary) {
    batch_.push_back(make_event({.run_id = "20261126-000000-0001/large",
                                 .source = vm == Vm::Host ? "launcher" : "guest",
                                 .vm = vm,
                                 .host_ns = now_ns + 2'000'000'000,
                                 .guest_ns = vm == Vm::Host ? 0 : now_ns},
                                std::move(payload)));
    if (batch_.size() >= 64) flush();
  }
  void flush() {
    if (auto s = writer_.append(batch_); !s) {
      std::fprintf(stderr, "%s\n", s.error().to_string().c_str());
      std::exit(3);
    }
    batch_.clear();
  }
  void stage(Stage stage) {
    StageReachedT reached;
    reached.stage = stage;
    add(std::move(reached));
  }
  void scheduler_line(const std::string& text) {
    SchedulerLineT line;
    line.text = text;
    add(std::move(line));
  }
  uint64_t now_ns = 1;

 private:
  LogWriter writer_;
  std::vector<EventBuffer> batch_;
};

std::unique_ptr<TaskSeenT> task(std::string comm, int pid, uint64_t wait_ns) {
  auto out = std::make_unique<TaskSeenT>();
  out->comm = std::move(comm);
  out->pid = pid;
  out->sched_class = SchedClass::Ext;
  out->wait_ns = wait_ns;
  return out;
}

MonitorSampleT sample(uint64_t index, unsigned cpus, uint64_t guest_ns, std::mt19937& random) {
  MonitorSampleT out;
  out.index = index;
  out.guest_clock_ns = guest_ns;
  out.scx_enabled = true;
  out.ops_name = "large";
  for (unsigned i = 0; i < cpus; ++i) {
    auto cpu = std::make_unique<CpuSampleT>();
    cpu->cpu = static_cast<uint16_t>(i);
    cpu->nr_running = (random() % 4) + (i == index / 100 % cpus ? 8u : 0u);
    cpu->scx_nr_running = cpu->nr_running;
    cpu->local_dsq_depth = cpu->nr_running > 1 ? random() % cpu->nr_running : 0;
    cpu->idle = cpu->nr_running == 0;
    cpu->rq_clock = guest_ns;
    cpu->stats = std::make_unique<RunQueueStatsT>();
    cpu->stats->switches = static_cast<uint32_t>(index * 120 + random() % 50);
    cpu->stats->wakeups = static_cast<uint32_t>(index * 70 + random() % 50);
    if (!cpu->idle) cpu->curr = task(i == 0 ? kHostile : "worker", static_cast<int>(1000 + i), 0);
    if (cpu->nr_running > 1)
      cpu->longest_waiting = task("waiter", static_cast<int>(2000 + i), random() % 20 * 1'000'000);
    out.cpus.push_back(std::move(cpu));
  }
  for (unsigned i = 0; i < 24; ++i) {
    auto dsq = std::make_unique<DsqSampleT>();
    dsq->id = i;
    dsq->depth = random() % (i + 1);
    out.dsqs.push_back(std::move(dsq));
  }
  for (const char* name :
       {"SELECT_CPU_FALLBACK", "DISPATCH_KEEP_LAST", "REFILL_SLICE_DFL", "BYPASS_DISPATCH"}) {
    auto counter = std::make_unique<CounterT>();
    counter->name = name;
    counter->value = static_cast<int64_t>(index * (40 + random() % 5));
    out.counters.push_back(std::move(counter));
  }
  return out;
}

int write_log(const char* path, unsigned cpus, unsigned minutes) {
  auto writer = LogWriter::create(path);
  if (!writer) {
    std::fprintf(stderr, "%s\n", writer.error().to_string().c_str());
    return 2;
  }
  LargeLog log(std::move(*writer));
  std::mt19937 random(64);
  RunStartedT started;
  started.tool_version = "0.1.0";
  started.schema_version = kSchemaVersion;
  started.run_id = "20261126-000000-0001/large";
  started.spec = std::make_unique<TestSpecT>();
  started.spec->name = std::string("large ") + kHostile;
  started.spec->file = "specs/large.toml";
  started.spec->line = 3;
  started.spec->topology = std::make_unique<TopologyT>();
  started.spec->topology->llcs = 4;
  started.spec->topology->cores = std::max(1u, cpus / 4);
  started.spec->scheduler = std::make_unique<SchedulerSpecT>();
  started.spec->scheduler->name = "large";
  started.spec->scheduler->binary = "scx_large";
  started.rerun = std::string("ktstr-launch run specs/large.toml # ") + kHostile;
  log.add(std::move(started), Vm::Host);
  VmStartedT vm;
  vm.vcpus = cpus;
  log.add(std::move(vm));
  GuestHelloT hello;
  hello.kernel_release = "7.3.4";
  hello.cpus = cpus;
  hello.sched_ext = true;
  log.add(std::move(hello));
  log.now_ns = 1'000'000'000;
  log.stage(Stage::SchedulerStarted);
  log.now_ns = 2'000'000'000;
  SchedulerAttachedT attached;
  attached.ops_name = "large";
  log.add(std::move(attached));
  log.stage(Stage::SchedulerAttached);
  log.stage(Stage::WorkloadStarted);
  const uint64_t samples = static_cast<uint64_t>(minutes) * 600;
  for (uint64_t i = 0; i < samples; ++i) {
    log.now_ns += kPeriodNs;
    log.add(sample(i, cpus, log.now_ns, random));
    if (i % 600 == 0) {
      PhaseStartedT phase;
      phase.name = "step " + std::to_string(i / 600) + (i == 600 ? kHostile : "");
      log.add(std::move(phase));
    }
    if (i % 2 == 0) log.scheduler_line("stats " + std::to_string(i) + (i % 1000 == 0 ? kHostile : ""));
    ConsoleLineT line;
    line.text = "[" + std::to_string(log.now_ns / 1'000'000'000) + ".000000] line " + std::to_string(i) +
                (i % 500 == 0 ? kHostile : "");
    log.add(std::move(line));
  }
  DumpLineT dump;
  dump.text = kHostile;
  log.add(std::move(dump));
  CrashDetectedT crash;
  crash.kind = CrashKind::SchedExtExit;
  crash.exit_kind = 1025;
  crash.reason = "scx_bpf_error";
  crash.message = kHostile;
  for (const char* function : {"large_enqueue", kHostile, "do_enqueue_task"}) {
    crash.backtrace.push_back(std::make_unique<ChainFrameT>());
    crash.backtrace.back()->function = function;
  }
  log.add(std::move(crash));
  log.now_ns += kPeriodNs;
  GuestFinishedT finished;
  finished.clean = true;
  log.add(std::move(finished));
  VmExitedT exited;
  exited.duration_ns = log.now_ns;
  log.add(std::move(exited));
  log.add(VmSettledT{});
  log.add(FactsCompletedT{}, Vm::Host);
  log.flush();
  return 0;
}

}  // namespace
}  // namespace ktstr

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: ktstr_large_log FILE [CPUS [MINUTES]]\n");
    return 2;
  }
  const auto number = [&](int at, unsigned fallback) {
    return argc > at ? static_cast<unsigned>(std::strtoul(argv[at], nullptr, 10)) : fallback;
  };
  return ktstr::write_log(argv[1], number(2, 64), number(3, 10));
}
