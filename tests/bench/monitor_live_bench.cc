// What the monitor costs, on a real guest. Boots one VM.
//
//  - Perturbation: iterations of the guest's workers with the monitor at 10 Hz and at 1 kHz against none, in
//  turns of
//    half a second; median of the pairs. Iterations are sched_yield calls, counted by the guest's kernel. The
//    bar is on iterations per second of the vCPU threads' CPU time, so that other load of the host does not
//    count; those per second of wall clock, and the monitor's own share of a CPU, are printed beside.
//  - One full sample of a 4-CPU guest, and one attach, with QEMU stopped: in units of the CRC32C of 64 KiB in
//  the same
//    turn (0.94 us on the machine of the first measurement, so 10 us are 10.6 and 100 ms are 106,000 of
//    them).
//  - Growth with the number of CPUs, on the synthetic kernel.
//
// Usage: ktstr_monitor_live_bench KTSTR_LAUNCH SCHEDULER_DIR [PAIRS]
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <thread>

#include "base/crc32c.h"
#include "monitor/monitor_session.h"
#include "monitor/testing/synthetic_kernel.h"
#include "monitor/vcpu_threads.h"
#include "schemas/guest_generated.h"
#include "schemas/log_reader.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

using std::chrono::nanoseconds;

constexpr double kFullSampleBar = 10.0 / 0.94;
constexpr double kAttachBar = 100'000.0 / 0.94;

constexpr char kSpec[] = R"([scheduler.good]
binary = "scx_good"
[[test]]
name = "busy"
scheduler = "good"
cores = 4
duration_s = 3000
enforce = false
  [[test.cgroup]]
  name = "cg_0"
  workers = 4
  work = "YieldHeavy"
)";

// The run under measurement: ktstr-launch, and what its log says.
class Run {
 public:
  Run(const char* launch, const char* schedulers, const Folder& folder) {
    std::ofstream(folder.file("busy.toml")) << kSpec;
    log_ = folder.file("out/busy/events.ktlog");
    launch_ = ::fork();
    if (launch_ == 0) {
      (void)!std::freopen(folder.file("report").c_str(), "w", stdout);
      (void)!std::freopen(folder.file("progress").c_str(), "w", stderr);
      ::execl(launch, launch, "run", folder.file("busy.toml").c_str(), "--scheduler-dir", schedulers, "--out",
              folder.file("out").c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
  }
  ~Run() {
    for (const pid_t pid : {qemu(), monitor_}) {
      if (pid > 0) ::kill(pid, SIGCONT);
    }
    ::kill(launch_, SIGINT);
    ::waitpid(launch_, nullptr, 0);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Until the workload runs. False: it never did.
  bool wait() {
    for (int i = 0; i < 1200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      int status = 0;
      if (::waitpid(launch_, &status, WNOHANG) == launch_) return false;
      auto reader = LogReader::open(log_);
      bool working = false;
      while (reader) {
        auto event = reader->next();
        if (!event || !*event) break;
        const EventBuffer& e = **event;
        if (e.as<VmStarted>()) vm_ = e.clone();
        if (auto* helper = e.as<HelperStarted>(); helper && str(helper->name()) == "monitor")
          monitor_ = static_cast<pid_t>(helper->pid());
        if (auto* stage = e.as<StageReached>()) working = working || stage->stage() == Stage::WorkloadStarted;
      }
      if (working && vm_ && monitor_ > 0) return true;
    }
    return false;
  }
  const VmStarted& vm() const { return *vm_->as<VmStarted>(); }
  pid_t qemu() const { return vm_ ? static_cast<pid_t>(vm().pid()) : 0; }
  pid_t monitor() const { return monitor_; }

 private:
  pid_t launch_ = -1, monitor_ = 0;
  std::string log_;
  std::optional<EventBuffer> vm_;
};

MonitorSeam seam_of(const Clock& clock) {
  return {.clock = &clock,
          .open_ram = open_ram_file,
          .vcpu_threads = [](uint32_t pid) { return read_vcpu_threads(pid); },
          .open_hold = nullptr,
          .open_writer = nullptr};
}

// The guest's sched_yield calls so far.
class Progress {
 public:
  explicit Progress(const GuestKernel& kernel) : kernel_(kernel) {}
  uint64_t read() {
    kernel_.refresh();
    Reading reading;
    for (uint32_t cpu = 0; cpu < kernel_.cpus(); ++cpu) (void)read_run_queue(kernel_, cpu, reading);
    uint64_t sum = 0;
    for (const CpuReading& cpu : reading.cpus) sum += cpu.stats.yields;
    return sum;
  }

 private:
  const GuestKernel& kernel_;
};

double cpu_seconds(pid_t qemu) {
  uint64_t sum = 0;
  for (const VcpuThreadT& thread : read_vcpu_threads(static_cast<uint32_t>(qemu))) sum += thread.run_ns;
  return static_cast<double>(sum) / 1e9;
}

double own_cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct Rate {
  double per_cpu_second = 0, per_second = 0, own_share = 0;
};

// One turn, with a monitor at this period; 0: none.
Rate turn(Progress& progress, MonitorSession& session, pid_t qemu, uint64_t period_ns) {
  constexpr auto kTurn = std::chrono::milliseconds(500);
  const double cpu_before = cpu_seconds(qemu), own_before = own_cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t before = progress.read();
  auto next_tick = begin;
  while (std::chrono::steady_clock::now() - begin < kTurn) {
    if (period_ns == 0) {
      std::this_thread::sleep_until(begin + kTurn);
      break;
    }
    (void)session.watch();
    if (std::chrono::steady_clock::now() >= next_tick) {
      next_tick += nanoseconds(period_ns);
      auto facts = session.tick();
      if (facts.sample) (void)make_event({.run_id = "bench", .source = "monitor"}, std::move(*facts.sample));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto done = static_cast<double>(progress.read() - before);
  const double cpu = cpu_seconds(qemu) - cpu_before;
  return {cpu > 0 ? done / cpu : 0, done / seconds, (own_cpu_seconds() - own_before) / seconds};
}

void perturbation(Run& run, const GuestKernel& kernel, int pairs, Bars& bars) {
  SystemClock clock;
  const MonitorSeam seam = seam_of(clock);
  LayoutCache layouts;
  Progress progress(kernel);
  ::kill(run.monitor(), SIGSTOP);  // ours alone
  for (const auto& [name, period, bar] :
       {std::tuple{"10 Hz", 100'000'000u, 0.99}, std::tuple{"1 kHz", 1'000'000u, 0.97}}) {
    MonitorSession session(run.vm(), seam, layouts, {.period_ns = period});
    (void)session.tick();
    std::vector<double> ratios, wall, own;
    for (int i = 0; i < pairs; ++i) {
      // The order changes, so that what drifts does not favour one.
      Rate with, without;
      if (i % 2) with = turn(progress, session, run.qemu(), period);
      without = turn(progress, session, run.qemu(), 0);
      if (i % 2 == 0) with = turn(progress, session, run.qemu(), period);
      if (without.per_cpu_second <= 0 || without.per_second <= 0) continue;
      ratios.push_back(with.per_cpu_second / without.per_cpu_second);
      wall.push_back(with.per_second / without.per_second);
      own.push_back(with.own_share);
    }
    std::printf("%s: by wall clock %.3f; the monitor takes %.2f%% of a CPU\n", name, median(wall),
                100 * median(own));
    bars.at_least(std::string("workers' iterations with the monitor at ") + name + " over none",
                  median(ratios), bar);
  }
  ::kill(run.monitor(), SIGCONT);
}

double crc_of_64_kib() {
  static const std::vector<uint8_t> bytes(64 << 10, 0x5a);
  const Stopwatch watch;
  volatile uint32_t keep = crc32c(bytes);
  (void)keep;
  return watch.seconds();
}

void costs(Run& run, RamFile& ram, const GuestKernel& kernel, Bars& bars) {
  ::kill(run.qemu(), SIGSTOP);
  SystemClock clock;
  Sampler sampler(kernel, clock, 1);
  (void)sampler.read();
  std::vector<double> samples, references, attaches;
  for (int i = 0; i < 20000; ++i) {
    references.push_back(crc_of_64_kib());
    const Stopwatch watch;
    (void)sampler.read();
    samples.push_back(watch.seconds());
  }
  for (int i = 0; i < 15; ++i) {
    LayoutCache fresh;
    const Stopwatch watch;
    if (!GuestKernel::attach(ram, {run.vm().ram_bytes(), run.vm().lowmem_bytes()}, fresh)) break;
    attaches.push_back(watch.seconds());
  }
  ::kill(run.qemu(), SIGCONT);
  const double reference = median(references), sample = median(samples), attach = median(attaches);
  const MonitorSampleT last = sampler.sample();
  std::printf(
      "full sample: %.1f us (%zu CPUs, %zu counters, %zu domains, %zu programs), attach: %.1f ms, CRC32C of "
      "64 KiB: %.1f us\n",
      sample * 1e6, last.cpus.size(), last.counters.size(), last.domains.size(), last.programs.size(),
      attach * 1e3, reference * 1e6);
  bars.at_most("full sample, in CRC32C of 64 KiB", sample / reference, kFullSampleBar);
  bars.at_most("attach, in CRC32C of 64 KiB", attaches.empty() ? 1e9 : attach / reference, kAttachBar);
}

double synthetic_sample(uint32_t cpus) {
  testing::SyntheticOptions options;
  options.cpus = cpus;
  options.levels5 = true;
  options.domain_levels = 2;
  const testing::SyntheticKernel guest(options);
  LayoutCache cache;
  auto kernel = GuestKernel::attach(guest.ram(), guest.ram_layout(), cache);
  if (!kernel) return 0;
  SystemClock clock;
  Sampler sampler(*kernel, clock, 1);
  std::vector<double> times;
  for (int i = 0; i < 4000; ++i) {
    const Stopwatch watch;
    (void)sampler.read();
    times.push_back(watch.seconds());
  }
  return median(times);
}

void growth(Bars& bars) {
  const double few = synthetic_sample(8), many = synthetic_sample(64);
  std::printf("synthetic guest: 8 CPUs %.1f us, 64 CPUs %.1f us a full sample\n", few * 1e6, many * 1e6);
  bars.at_most("cost per CPU of 64 CPUs over that of 8", few > 0 ? many / 64 / (few / 8) : 99, 1.5);
}

int run(const char* launch, const char* schedulers, int pairs) {
  Folder folder;
  Bars bars;
  growth(bars);
  Run guest(launch, schedulers, folder);
  if (!guest.wait()) {
    std::fprintf(stderr, "the workload did not start\n");
    return 3;
  }
  auto ram = open_ram_file(std::string(str(guest.vm().ram_path())));
  if (!ram) return 3;
  LayoutCache layouts;
  auto kernel = GuestKernel::attach(**ram, {guest.vm().ram_bytes(), guest.vm().lowmem_bytes()}, layouts);
  if (!kernel) {
    std::fprintf(stderr, "%s\n", kernel.error().to_string().c_str());
    return 3;
  }
  costs(guest, **ram, *kernel, bars);
  perturbation(guest, *kernel, pairs, bars);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s KTSTR_LAUNCH SCHEDULER_DIR [PAIRS]\n", argv[0]);
    return 2;
  }
  return ktstr::bench::run(argv[1], argv[2], argc == 4 ? std::atoi(argv[3]) : 40);
}
