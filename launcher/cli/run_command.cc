// ktstr-launch run: everything is checked before anything boots, then one test after the other.
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
#include "launcher/cli/command_line.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/run_session.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/host_speed.h"
#include "schemas/exit_code.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

struct Failure {
  Error error;
  int code;
};

Result<std::vector<LoadedTest>> load_tests(const RunCommandOptions& options) {
  BinarySearchDirs dirs{.scheduler_dirs = options.scheduler_dirs,
                        .build_schedulers_dir = program_folder() + "/../schedulers",
                        .path = env_value("PATH")};
  DirBinaryFinder finder(dirs);
  auto tests = load_all_tests(options.specs, {.binaries = &finder});
  if (!tests) return tests;
  for (auto& [test, settings] : *tests) {
    if (options.repro_tries) test.repro_tries = options.repro_tries;
    if (options.repro_history) test.probe_history = options.repro_history;
    if (auto& s = test.scheduler; s && s->guest_path.empty())
      s->guest_path = "/ktstr/sched/" + std::filesystem::path(s->host_path).filename().string();
  }
  return tests;
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

// Our signals arrive through a descriptor; children get a clean mask (base/child.cc).
UniqueFd catch_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, s);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then is an error of write(2), as a full disk is
  return UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

Result<std::string> kernel_cache_dir() {
  return KernelCache::default_dir([](const char* name) { return std::getenv(name); });
}

// QEMU, accelerator and the host's speed: the same for all tests of the run. `env.kernel` is set.
std::optional<Failure> prepare(const RunCommandOptions& options, const std::string& cache_dir,
                               RunEnvironment& env) {
  auto wish = parse_accelerator(options.accel);
  if (!wish) return Failure{std::move(wish).error(), kUsage};
  auto qemu = find_qemu(env_value("KTSTR_QEMU"), env_value("PATH"));
  if (!qemu) return Failure{std::move(qemu).error(), kInfra};
  env.qemu = *qemu;
  auto version = qemu_version(*qemu);
  if (!version) return Failure{std::move(version).error(), kInfra};
  env.host = host_info(*version);
  const std::string folder = std::filesystem::path(cache_dir).parent_path().string() + "/accelerator";
  auto accelerator =
      choose_accelerator({.wish = *wish,
                          .qemu = *qemu,
                          .kernel = env.kernel.path,
                          .kernel_id = env.kernel.build_id.empty() ? env.kernel.release : env.kernel.build_id,
                          .cache_dir = folder,
                          .progress = [&](const std::string& line) { env.progress->step(line); }});
  if (!accelerator) return Failure{std::move(accelerator).error(), kInfra};
  env.accelerator = std::move(accelerator).value();
  double load[1] = {0};
  if (::getloadavg(load, 1) == 1) env.load_1min = load[0];
  env.progress->step("measuring how fast this host runs a guest's CPU");
  auto speed = measure_host_speed({.qemu = env.qemu, .accelerator = env.accelerator.name, .folder = folder});
  if (speed) env.host.speed = static_cast<float>(speed->speed);
  env.host.speed_note = speed ? speed->note : "not measured: " + speed.error().message();
  return std::nullopt;
}

Result<KernelInfoT> kernel_for(const std::string& wish, const std::string& cache_dir) {
  auto kernel =
      resolve_kernel(KernelCache(cache_dir), {.flag = wish, .environment = env_value("KTSTR_KERNEL")});
  if (!kernel) return std::move(kernel).error();
  return std::move(kernel->info);
}

// The options that shape a test: the command that reruns a test repeats them.
std::vector<std::string> rerun_options(const RunCommandOptions& options) {
  std::vector<std::string> out;
  for (const std::string& kernel : options.kernels) out.insert(out.end(), {"--kernel", kernel});
  if (options.kernels.empty() && !env_value("KTSTR_KERNEL").empty())
    out.insert(out.end(), {"--kernel", env_value("KTSTR_KERNEL")});
  if (options.accel != "auto") out.insert(out.end(), {"--accel", options.accel});
  for (const std::string& folder : options.scheduler_dirs) out.insert(out.end(), {"--scheduler-dir", folder});
  if (options.no_skips) out.push_back("--no-skips");
  return out;
}

Result<std::optional<BusListen>> listen_address(const RunCommandOptions& options) {
  if (options.listen.empty()) return std::optional<BusListen>();
  auto address = BusAddress::remote(options.listen);
  if (!address) return std::move(address).error().within("--listen");
  // Whoever reaches the port could read the run and add to it: never without keys, not even on 127.0.0.1.
  auto keys = read_server_keys(options.keys.empty() ? key_folder() : options.keys);
  if (!keys) return std::move(keys).error().within("--listen " + options.listen + " needs keys");
  return std::optional<BusListen>(BusListen{*address, *keys});
}

void set_switches(RunEnvironment& env) {
  for (const char* name : {"RUST_BACKTRACE", "KTSTR_VERBOSE"}) {
    std::string value = env_value(name);
    if (!value.empty()) env.environment.emplace_back(name, value);
    bool on = std::string_view(name) == "RUST_BACKTRACE" ? value == "1" || value == "full" : value == "1";
    env.verbose_console = env.verbose_console || on;
  }
  env.own_view = env_value("KTSTR_OWN_VIEW") == "1";
}

}  // namespace

int run_command(const RunCommandOptions& options) {
  auto tests = load_tests(options);
  if (!tests) return report_error(tests.error(), kUsage);
  std::optional<Filter> filter;
  if (!options.filters.empty()) {
    auto parsed = Filter::parse_any(options.filters);
    if (!parsed) return report_error(parsed.error(), exit_code(ExitCode::kFilter));
    filter.emplace(std::move(parsed).value());
  }

  auto listen = listen_address(options);
  if (!listen) return report_error(listen.error(), kUsage);

  SystemClock clock;
  Progress progress(stderr, ::isatty(2), options.quiet);
  RunEnvironment env;
  env.program_folder = program_folder();
  env.folders = folder_options();
  env.folders.out = options.out;
  env.listen = *listen;
  env.embed = options.embed;
  env.folders.run_id = make_run_id(clock.realtime_ns(), std::random_device{}());
  env.boot_limit_ns = static_cast<uint64_t>(options.boot_timeout_s * 1e9);
  env.command = options.command;
  env.progress = &progress;
  env.clock = &clock;
  env.rerun_options = rerun_options(options);
  set_switches(env);
  if (options.no_skips) env.environment.emplace_back("KTSTR_NO_SKIPS", "1");
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kInfra);
  auto plan = plan_tests({.tests = std::move(*tests),
                          .kernels = options.kernels,
                          .filter = filter ? &*filter : nullptr,
                          .host_memory_mb = host_info("").memory_mb,
                          .resolve = [&](const std::string& wish) { return kernel_for(wish, *cache_dir); }});
  if (!plan) return report_error(plan.error(), kUsage);
  if (plan->tests.empty())
    return report_error(Error::not_found("no test is selected"), exit_code(ExitCode::kNoTests));
  env.kernel = plan->kernels[plan->tests.front().kernel];
  if (auto failure = prepare(options, *cache_dir, env)) {
    progress.clear();
    return report_error(failure->error, failure->code);
  }
  auto artifacts = make_artifact_folder(env.folders);
  if (!artifacts) return report_error(artifacts.error(), kInfra);
  env.artifacts = *artifacts;
  BusFolder::sweep(env.folders);
  for (const KernelInfoT& kernel : plan->kernels)
    progress.say("kernel " + kernel.release + " (" + kernel.origin + ")");
  progress.say(env.accelerator.name + ": " + env.accelerator.reason);
  UniqueFd signals = catch_signals();
  env.signal_fd = signals.get();

  std::vector<EndedTest> ended;
  ExitCode code = ExitCode::kPass;
  for (const auto& [loaded, kernel, skip] : plan->tests) {
    const TestSpecT& test = loaded.spec;
    if (!skip.empty()) {
      if (options.no_skips) code = merge_exit_codes(code, ExitCode::kTestFailed);
      ended.push_back({.name = test.name, .result = {}, .skip = skip});
      continue;
    }
    env.kernel = plan->kernels[kernel];
    auto result = run_test(test, env);
    if (!result) {
      report_error(std::move(result).error().within(test.name), kInfra);
      code = merge_exit_codes(code, ExitCode::kInfrastructure);
      ended.push_back({.name = test.name, .result = {}, .skip = {}});
      continue;
    }
    code = merge_exit_codes(code, result->code);
    bool stop = result->code == ExitCode::kInterrupted || result->code == ExitCode::kTerminated;
    ended.push_back({.name = test.name, .result = std::move(result).value(), .skip = {}});
    if (stop) break;
  }
  const size_t not_run = plan->tests.size() - ended.size();
  if (not_run > 0)
    progress.say(std::to_string(not_run) + " of " + std::to_string(plan->tests.size()) +
                 " tests were not run");
  std::fputs(run_end_text(ended, options.no_skips).c_str(), stdout);
  std::fflush(stdout);
  return exit_code(code);
}

// Boots only the repro VM, from the log of a run that was recorded elsewhere.
int repro_command(const ReproCommandOptions& options) {
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kInfra);
  auto recorded = read_recorded_run(
      {.log = options.log, .store = std::filesystem::path(*cache_dir).parent_path().string() + "/files"});
  if (!recorded) return report_error(recorded.error(), kUsage);
  const KernelInfoT* kernel = recorded->started.kernel.get();
  if (!kernel) return report_error(Error::invalid(options.log + ": does not tell the kernel"), kUsage);
  RunCommandOptions run = options.run;
  std::string wish = run.kernels.empty() ? "" : run.kernels.back();
  if (wish.empty()) {
    auto cached = KernelCache(*cache_dir).find(kernel->release);
    if (cached && !*cached)
      return report_error(
          Error::not_found("the kernel " + printable(kernel->release) + " of this run is not cached")
              .with_hint("ktstr-launch kernel fetch " + printable(kernel->release) +
                         "; or name its image with --kernel"),
          kUsage);
    wish = kernel->release;
  }

  SystemClock clock;
  Progress progress(stderr, ::isatty(2), run.quiet);
  RunEnvironment env;
  env.program_folder = program_folder();
  env.folders = folder_options();
  env.folders.out = run.out;
  env.folders.run_id = make_run_id(clock.realtime_ns(), std::random_device{}());
  env.boot_limit_ns = static_cast<uint64_t>(run.boot_timeout_s * 1e9);
  env.command = run.command;
  env.recorded = &*recorded;
  env.progress = &progress;
  env.clock = &clock;
  set_switches(env);
  auto image = kernel_for(wish, *cache_dir);
  if (!image) return report_error(image.error(), kUsage);
  env.kernel = std::move(*image);
  auto failure = prepare(run, *cache_dir, env);
  progress.clear();
  if (failure) return report_error(failure->error, failure->code);
  if (options.run.kernels.empty()) env.kernel.origin = "as recorded";
  if (env.kernel.release != kernel->release)
    return report_error(
        Error::invalid("the run was on " + printable(kernel->release) + ", this is " + env.kernel.release),
        kUsage);
  auto artifacts = make_artifact_folder(env.folders);
  if (!artifacts) return report_error(artifacts.error(), kInfra);
  env.artifacts = *artifacts;
  BusFolder::sweep(env.folders);
  progress.say("repeating " + printable(recorded->started.run_id) + " on " + env.kernel.release + ", " +
               env.accelerator.name);
  UniqueFd signals = catch_signals();
  env.signal_fd = signals.get();
  auto result = run_test(*recorded->started.spec, env);
  if (!result) return report_error(result.error(), kInfra);
  ExitCode code = result->code;
  std::vector<EndedTest> ended;
  ended.push_back({.name = recorded->started.spec->name, .result = std::move(*result), .skip = {}});
  std::fputs(run_end_text(ended, false).c_str(), stdout);
  std::fflush(stdout);
  return exit_code(code);
}

}  // namespace ktstr
