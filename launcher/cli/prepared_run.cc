#include "launcher/cli/prepared_run.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/text.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "launcher/deterministic/carriers.h"
#include "launcher/deterministic/perturbation.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/run_facts.h"
#include "launcher/run/run_session.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/host_speed.h"
#include "launcher/vm/host_tsc.h"
#include "schemas/common_generated.h"
#include "schemas/exit_code.h"
#include "schemas/guest_paths.h"
#include "schemas/run_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

constexpr int kCaught[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int kReaderLimitMs = 1000;

}  // namespace

Result<std::string> kernel_cache_dir() {
  return KernelCache::default_dir([](const char* name) { return std::getenv(name); });
}

Result<KernelInfoT> kernel_for(const std::string& wish, const std::string& cache_dir) {
  auto kernel =
      resolve_kernel(KernelCache(cache_dir), {.flag = wish, .environment = env_value("KTSTR_KERNEL")});
  if (!kernel) return std::move(kernel).error();
  return std::move(kernel->info);
}

HostInfoT host_info(const std::string& qemu_version_text) {
  HostInfoT host;
  host.cpus = static_cast<uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo info{};
  if (::sysinfo(&info) == 0) host.memory_mb = static_cast<uint64_t>(info.totalram) * info.mem_unit >> 20;
  utsname names{};
  if (::uname(&names) == 0) host.kernel = names.release;
  host.qemu = qemu_version_text;
  return host;
}

PreparedRun::PreparedRun(const RunCommandOptions& options)
    : options_(options), progress_(stderr, ::isatty(2), options.quiet) {
  env_.program_folder = program_folder();
  env_.folders = folder_options();
  env_.folders.out = options.out;
  env_.folders.run_id = make_run_id(clock_.realtime_ns(), std::random_device{}());
  env_.test_limit_ns = static_cast<uint64_t>(options.timeout_s * 1e9);
  env_.boot_limit_ns = static_cast<uint64_t>(options.boot_timeout_s * 1e9);
  env_.command = options.command;
  env_.progress = &progress_;
  env_.clock = &clock_;
  set_switches();
}

void PreparedRun::set_switches() {
  env_.environment = shell_switches();
  for (const auto& [name, value] : env_.environment)
    if (value == "1" || (name == "RUST_BACKTRACE" && value == "full")) env_.verbose_console = true;
  env_.own_view = env_value("KTSTR_OWN_VIEW") == "1";
}

std::optional<Failure> PreparedRun::find_machine(const std::string& cache_dir, bool measure) {
  if (options_.deterministic) {
    auto determinism = determinism_for(options_.seed, options_.strategy, options_.drop);
    if (!determinism) return Failure{std::move(determinism).error(), kUsage};
    env_.determinism = std::move(determinism).value();
    if (options_.accel == "kvm")
      return Failure{Error::invalid("--deterministic needs software emulation: --accel kvm is impossible"),
                     kUsage};
  }
  auto wish = parse_accelerator(env_.determinism ? "tcg" : options_.accel);
  if (!wish) return Failure{std::move(wish).error(), kUsage};
  auto qemu = find_qemu(env_value("KTSTR_QEMU"), env_value("PATH"));
  if (!qemu) return Failure{std::move(qemu).error(), kInfra};
  env_.qemu = *qemu;
  auto version = qemu_version(*qemu);
  if (!version) return Failure{std::move(version).error(), kInfra};
  env_.host = host_info(*version);
  const std::string folder = std::filesystem::path(cache_dir).parent_path().string() + "/accelerator";
  auto accelerator = choose_accelerator(
      {.wish = *wish,
       .qemu = *qemu,
       .kernel = env_.kernel.path,
       .kernel_id = env_.kernel.build_id.empty() ? env_.kernel.release : env_.kernel.build_id,
       .cache_dir = folder,
       .progress = [&](const std::string& line) { env_.progress->step(line); }});
  if (!accelerator) return Failure{std::move(accelerator).error(), kInfra};
  env_.accelerator = std::move(accelerator).value();
  env_.tsc_khz = host_tsc_khz(folder);
  if (env_.determinism) env_.accelerator.reason = why_deterministic(qemu_version_numbers(*version));
  if (env_.determinism) {
    env_.host.speed_note = "not measured: a deterministic run does not depend on it";
    return std::nullopt;
  }
  double load[1] = {0};
  if (::getloadavg(load, 1) == 1) env_.load_1min = load[0];
  if (!measure) return std::nullopt;
  env_.progress->step("measuring how fast this host runs a guest's CPU");
  auto speed =
      measure_host_speed({.qemu = env_.qemu, .accelerator = env_.accelerator.name, .folder = folder});
  if (speed) env_.host.speed = static_cast<float>(speed->speed);
  env_.host.speed_note = speed ? speed->note : "not measured: " + speed.error().message();
  return std::nullopt;
}

std::optional<Failure> PreparedRun::prepare_machine(const std::string& cache_dir, bool measure) {
  auto failure = find_machine(cache_dir, measure);
  progress_.clear();
  if (!failure) BusFolder::sweep(env_.folders);
  return failure;
}

std::optional<Failure> PreparedRun::prepare(const std::string& cache_dir) {
  auto failure = find_machine(cache_dir, true);
  if (failure) {
    progress_.clear();
    return failure;
  }
  auto artifacts = make_artifact_folder(env_.folders);
  if (!artifacts) return Failure{artifacts.error(), kInfra};
  env_.artifacts = *artifacts;
  BusFolder::sweep(env_.folders);
  return std::nullopt;
}

// Our signals arrive through a descriptor; children get a clean mask (base/child.cc).
void PreparedRun::catch_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : kCaught) sigaddset(&mask, s);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then is an error of write(2), as a full disk is
  signals_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  env_.signal_fd = signals_.get();
  if (options_.no_template || env_value("KTSTR_NO_TEMPLATE") == "1") return;
  auto dir = TemplateStore::default_dir([](const char* name) { return std::getenv(name); });
  if (!dir) return;  // prepare() would have failed
  templates_.emplace(VmTemplates::Options{.dir = *dir, .stop_fd = env_.signal_fd, .progress = &progress_});
  env_.templates = &*templates_;
}

int PreparedRun::end(const std::vector<EndedTest>& ended, ExitCode code, const RunEndOptions& options) {
  // Nothing is left to put in order: a signal ends the wait for a reader of these lines, as it does by default.
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : kCaught) sigaddset(&mask, s);
  ::sigprocmask(SIG_UNBLOCK, &mask, nullptr);
  // The signal that interrupted the run ends this wait too.
  const bool interrupted = code == ExitCode::kInterrupted || code == ExitCode::kTerminated;
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (interrupted && ::poll(&out, 1, kReaderLimitMs) == 0) return exit_code(code);
  std::fputs(run_end_text(ended, options).c_str(), stdout);
  std::fflush(stdout);
  return exit_code(code);
}

}  // namespace ktstr
