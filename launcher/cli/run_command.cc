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
#include "launcher/cli/prepared_run.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/run_session.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/host_speed.h"
#include "schemas/exit_code.h"
#include "schemas/guest_paths.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

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
      s->guest_path = kGuestSchedulers + std::filesystem::path(s->host_path).filename().string();
  }
  return tests;
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

  PreparedRun prepared(options);
  RunEnvironment& env = prepared.env();
  Progress& progress = prepared.progress();
  env.listen = *listen;
  env.embed = options.embed;
  env.rerun_options = rerun_options(options);
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
  if (auto failure = prepared.prepare(*cache_dir)) return report_error(failure->error, failure->code);
  for (const KernelInfoT& kernel : plan->kernels)
    progress.say("kernel " + kernel.release + " (" + kernel.origin + ")");
  progress.say(env.accelerator.name + ": " + env.accelerator.reason);
  prepared.catch_signals();

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
  return PreparedRun::end(ended, code, options.no_skips);
}

// Boots only the repro VM, from the log of a run that was recorded elsewhere.
}  // namespace ktstr
