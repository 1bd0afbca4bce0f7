// ktstr-launch run: everything is checked before anything boots, then one test after the other.
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "base/text.h"
#include "bpf/kernel_image.h"
#include "launcher/cli/builds.h"
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

// Variables of this process that a scheduler of the Rust world reads: passed on where the spec does not set them.
void pass_on_environment(SchedulerSpecT& scheduler) {
  for (const char* name : {"RUST_BACKTRACE", "RUST_LOG"}) {
    const std::string value = env_value(name);
    const bool set = std::any_of(scheduler.env.begin(), scheduler.env.end(),
                                 [&](const auto& v) { return v->key == name; });
    if (value.empty() || set) continue;
    auto variable = std::make_unique<KeyValueT>();
    variable->key = name;
    variable->value = value;
    scheduler.env.push_back(std::move(variable));
  }
}

// `with_binaries`: programs and files are looked for, and one that is missing is an error.
Result<std::vector<LoadedTest>> load_tests(const RunCommandOptions& options, bool with_binaries = true) {
  BinarySearchDirs dirs{.scheduler_dirs = options.scheduler_dirs,
                        .build_schedulers_dir = program_folder() + "/../schedulers",
                        .path = env_value("PATH")};
  DirBinaryFinder finder(dirs);
  auto tests = load_all_tests(options.specs,
                              {.binaries = with_binaries ? &finder : nullptr,
                               .environment = [](const std::string& name) { return env_value(name.c_str()); },
                               .topologies = options.topologies});
  if (!tests) return tests;
  for (auto& [test, settings, skip] : *tests) {
    if (options.repro_tries) test.repro_tries = options.repro_tries;
    if (options.repro_history) test.probe_history = options.repro_history;
    if (test.scheduler) pass_on_environment(*test.scheduler);
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
  if (std::string names = topology_names(options.topologies); !names.empty())
    out.insert(out.end(), {"--topologies", names});
  if (options.no_skips) out.push_back("--no-skips");
  if (options.no_build) out.push_back("--no-build");
  if (options.no_template) out.push_back("--no-template");
  return out;
}

// Which tests run on which kernels.
class Planner {
 public:
  Planner(const RunCommandOptions& options, const Filter* filter, std::string cache_dir)
      : options_(options), filter_(filter), cache_dir_(std::move(cache_dir)) {}

  Result<TestPlan> plan(std::vector<LoadedTest> tests) {
    return plan_tests({.tests = std::move(tests),
                       .kernels = options_.kernels,
                       .filter = filter_,
                       .host_memory_mb = host_info("").memory_mb,
                       .resolve = [this](const std::string& wish) { return kernel(wish); }});
  }

  // Binaries of the tests that will run. What is wrong with the specs is told later, together with missing binaries.
  Status build(const std::function<void(const std::string&)>& say) {
    auto tests = load_tests(options_, false);
    if (!tests) return {};
    auto planned = plan(std::move(*tests));
    return planned ? run_builds(builds_of(*planned), say) : Status();
  }

 private:
  Result<KernelInfoT> kernel(const std::string& wish) {
    if (auto known = kernels_.find(wish); known != kernels_.end()) return known->second;
    auto found = kernel_for(wish, cache_dir_);
    if (found) kernels_.emplace(wish, *found);
    return found;
  }

  const RunCommandOptions& options_;
  const Filter* filter_;
  std::string cache_dir_;
  std::map<std::string, KernelInfoT> kernels_;
};

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
  Result<Filter> filter = Error::not_found("no filter");
  if (!options.filters.empty()) filter = Filter::parse_any(options.filters);
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kUsage);
  Planner planner(options, filter ? &*filter : nullptr, *cache_dir);
  if (!options.no_build && (filter || options.filters.empty()))
    if (auto built = planner.build(
            [](const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); });
        !built)
      return report_error(built.error(), kUsage);
  auto tests = load_tests(options);
  if (!tests) return report_error(tests.error(), kUsage);
  if (!filter && !options.filters.empty()) return report_error(filter.error(), exit_code(ExitCode::kFilter));

  auto listen = listen_address(options);
  if (!listen) return report_error(listen.error(), kUsage);

  PreparedRun prepared(options);
  RunEnvironment& env = prepared.env();
  Progress& progress = prepared.progress();
  env.listen = *listen;
  env.embed = options.embed;
  env.rerun_options = rerun_options(options);
  if (options.no_skips) env.environment.emplace_back("KTSTR_NO_SKIPS", "1");
  auto plan = planner.plan(std::move(*tests));
  if (!plan) return report_error(plan.error(), kUsage);
  if (plan->tests.empty())
    return report_error(Error::not_found("no test is selected"), exit_code(ExitCode::kNoTests));
  env.kernel = plan->kernels[plan->tests.front().kernel];
  if (auto failure = prepared.prepare(*cache_dir)) return report_error(failure->error, failure->code);
  for (const KernelInfoT& kernel : plan->kernels) {
    progress.say("kernel " + kernel.release + " (" + kernel.origin + ")");
    if (kernel_config_of(kernel.path, kernel.release).empty())
      progress.say("warning: the configuration of kernel " + kernel.release +
                   " is not known: schedulers that read it (extern … __kconfig) do not load on it");
    if (!kernel.damaged_kfuncs.empty())
      progress.say("warning: the BTF of kernel " + kernel.release + " describes " +
                   kfuncs_text(kernel.damaged_kfuncs) +
                   " wrongly: schedulers that call one of these do not load on it");
  }
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

}  // namespace ktstr
