// What auto-repro costs on a real kernel: attaching to a chain of twenty functions and more against the
// guest's boot, and the workload under probes against the same without. Boots two VMs.
//
// Usage: ktstr_repro_bench KTSTR_LAUNCH SCHEDULER_DIR
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "schemas/guest_generated.h"
#include "schemas/log_reader.h"
#include "schemas/repro_generated.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr char kSpec[] = R"([scheduler.deep]
binary = "scx_deep"
args = ["--fail-after", "20000"]
[[test]]
name = "deep"
scheduler = "deep"
cores = 4
duration_s = 60
  [[test.cgroup]]
  name = "cg_0"
  workers = 16
  work = "PipeIo"
)";

int run_launch(const char* launch, const char* schedulers, const Folder& folder) {
  std::ofstream(folder.file("deep.toml")) << kSpec;
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)!std::freopen(folder.file("report").c_str(), "w", stdout);
    ::unsetenv("RUST_BACKTRACE");
    ::execl(launch, launch, "run", folder.file("deep.toml").c_str(), "--scheduler-dir", schedulers, "--out",
            folder.file("out").c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int run(const char* launch, const char* schedulers) {
  Folder folder;
  if (run_launch(launch, schedulers, folder) != 1) {
    std::fprintf(stderr, "the run is not the crash that it should be\n");
    return 3;
  }
  auto reader = LogReader::open(folder.file("out/deep/events.ktlog"));
  if (!reader) return 3;
  double boot = 0, attach = 0, hold = 0, slowdown = 0, ready[2] = {}, attached[2] = {};
  size_t functions = 0;
  uint64_t per_hit = 0, hits = 0;
  for (;;) {
    auto event = reader->next();
    if (!event || !*event) break;
    const EventBuffer& e = **event;
    const int vm = e.vm() == Vm::Repro;
    const double now = static_cast<double>(e->stamp()->guest_ns()) / 1e9;
    if (auto* hello = e.as<GuestHello>()) {
      if (vm) boot = static_cast<double>(hello->boot_ns()) / 1e9;
    } else if (auto* stage = e.as<StageReached>()) {
      if (stage->stage() == Stage::InitStarted) ready[vm] = now;
      if (stage->stage() == Stage::SchedulerAttached) attached[vm] = now;
    } else if (auto* a = e.as<ProbeAttached>()) {
      functions = a->attached() ? a->attached()->size() : 0;
      attach = static_cast<double>(a->attach_ns()) / 1e9;
      hold = static_cast<double>(a->hold_ns()) / 1e9;
    } else if (auto* p = e.as<ProbeFinished>()) {
      per_hit = p->cost_ns_per_hit();
      hits = p->hits();
    } else if (auto* f = e.as<ReproFinished>()) {
      slowdown = static_cast<double>(f->slowdown());
    }
  }
  const double longer = (attached[1] - ready[1]) - (attached[0] - ready[0]);
  std::printf("%zu functions attached in %.2f s (scheduler held %.2f s); the guest booted in %.2f s\n",
              functions, attach, hold, boot);
  std::printf("from guest-ready to the scheduler's attach: %.2f s, %.2f s without probes\n",
              attached[1] - ready[1], attached[0] - ready[0]);
  std::printf("%llu hits of %llu ns; the workers ran %.2f times as fast without probes\n",
              static_cast<unsigned long long>(hits), static_cast<unsigned long long>(per_hit), slowdown);
  Bars bars;
  bars.at_least("functions with a probe", static_cast<double>(functions), 20);
  // 1.5 s of a boot that takes 3 s on the machine of the first measurement.
  bars.at_most("attaching, in boots", boot > 0 ? attach / boot : 99, 0.5);
  bars.at_most("what probes add from guest-ready to the attach, in boots", boot > 0 ? longer / boot : 99,
               0.6);
  bars.at_least("slowdown is told", slowdown, 1);
  bars.at_most("slowdown of an enqueue-heavy workload", slowdown, 8);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s KTSTR_LAUNCH SCHEDULER_DIR\n", argv[0]);
    return 2;
  }
  return ktstr::bench::run(argv[1], argv[2]);
}
