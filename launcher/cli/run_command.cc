// ktstr-launch run: everything is checked before anything boots; then the runner takes the tests (launcher/runner).
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
#include <set>

#include "base/small_files.h"
#include "base/text.h"
#include "base/wording.h"
#include "bpf/kernel_image.h"
#include "launcher/cli/builds.h"
#include "launcher/cli/documents.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "launcher/cli/sweep_table.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/run_session.h"
#include "launcher/runner/jobs.h"
#include "launcher/runner/last_run.h"
#include "launcher/runner/runner.h"
#include "launcher/runner/selection.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/host_speed.h"
#include "schemas/exit_code.h"
#include "schemas/guest_paths.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"
#include "spec/spec_attributes.h"

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

}  // namespace

Result<std::vector<LoadedTest>> load_tests(const RunCommandOptions& options, bool with_binaries) {
  BinarySearchDirs dirs{.scheduler_dirs = options.scheduler_dirs,
                        .build_schedulers_dir = program_folder() + "/../schedulers",
                        .path = env_value("PATH")};
  DirBinaryFinder finder(dirs);
  auto tests = load_all_tests(options.specs,
                              {.binaries = with_binaries ? &finder : nullptr,
                               .environment = [](const std::string& name) { return env_value(name.c_str()); },
                               .topologies = options.topologies,
                               .sweep_s = options.sweep_s});
  if (!tests) return tests;
  for (auto& [test, settings, skip] : *tests) {
    if (options.repro_tries) test.repro_tries = options.repro_tries;
    if (options.repro_history) test.probe_history = options.repro_history;
    if (!options.repro_probes.empty()) test.repro_probes = options.repro_probes;
    test.kernel_args.insert(test.kernel_args.end(), options.kernel_args.begin(), options.kernel_args.end());
    if (test.scheduler) pass_on_environment(*test.scheduler);
    if (auto& s = test.scheduler; s && s->guest_path.empty())
      s->guest_path = kGuestSchedulers + std::filesystem::path(s->host_path).filename().string();
  }
  return tests;
}

namespace {

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
  if (options.sweep_s > 0) out.insert(out.end(), {"--duration", to_toml(options.sweep_s)});
  if (options.deterministic) {
    out.insert(out.end(), {"--deterministic", "--seed", std::to_string(options.seed)});
    if (options.strategy != "random") out.insert(out.end(), {"--strategy", options.strategy});
    if (!options.drop.empty()) out.insert(out.end(), {"--drop", options.drop});
  }
  if (options.repro_history)
    out.insert(out.end(), {"--repro-history", std::to_string(options.repro_history)});
  if (!options.repro_probes.empty()) out.insert(out.end(), {"--repro-probes", options.repro_probes});
  if (options.no_skips) out.push_back("--no-skips");
  if (options.no_build) out.push_back("--no-build");
  if (options.no_template) out.push_back("--no-template");
  if (!options.keep_dump.empty()) out.push_back("--keep-dump=" + options.keep_dump);
  for (const std::string& word : options.qemu_args) out.push_back("--qemu-arg=" + word);
  for (const std::string& word : options.kernel_args) out.push_back("--kernel-arg=" + word);
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

// What the options ask for beside the tests themselves; parsed before anything is built.
struct RunWishes {
  uint32_t jobs = 1;  // 0: auto
  Partition partition;
};

Result<RunWishes> parse_wishes(const RunCommandOptions& options) {
  RunWishes wishes;
  auto jobs = parse_jobs(options.jobs);
  if (!jobs) return std::move(jobs).error();
  wishes.jobs = *jobs;
  if (wishes.jobs != 1 && !options.listen.empty())
    return Error::invalid("--listen takes one test at a time: its ports can be used once")
        .with_hint("--jobs 1");
  if (!options.partition.empty()) {
    auto partition = parse_partition(options.partition);
    if (!partition) return std::move(partition).error();
    wishes.partition = *partition;
  }
  return wishes;
}

TestKey key_of(const TestSpecT& spec) {
  std::error_code error;
  const auto path = std::filesystem::absolute(spec.file, error);
  return {error ? spec.file : path.lexically_normal().string(), spec.name};
}

std::vector<size_t> select_tests(const TestPlan& plan, const RunCommandOptions& options,
                                 const Partition& partition, const LastRun& last) {
  std::vector<size_t> order;
  std::vector<std::string> names;
  const std::set<TestKey> failed = options.failed ? last.failed() : std::set<TestKey>();
  for (size_t i = 0; i < plan.tests.size(); ++i) {
    const TestSpecT& spec = plan.tests[i].test.spec;
    if (options.failed && !failed.contains(key_of(spec))) continue;
    order.push_back(i);
    names.push_back(spec.name);
  }
  std::vector<size_t> out;
  for (size_t place : select_partition(names, partition)) out.push_back(order[place]);
  if (options.shuffle) shuffle(out, *options.shuffle);
  return out;
}

void remember(const LastRun& last, const TestPlan& plan, const std::vector<size_t>& order,
              const std::vector<EndedTest>& ended, Progress& progress) {
  std::map<std::string, bool> passed;  // by name; a test that ran in no round is absent
  for (const EndedTest& test : ended) {
    if (!test.skip.empty()) continue;
    auto [at, is_new] = passed.try_emplace(test.name, true);
    at->second = at->second && test.code(false) == ExitCode::kPass;
  }
  RunVerdicts verdicts;
  for (size_t i : order) {
    const PlannedTest& test = plan.tests[i];
    if (!test.skip.empty()) continue;
    const auto at = passed.find(test.test.spec.name);
    (at != passed.end() && at->second ? verdicts.passed : verdicts.not_passed).insert(key_of(test.test.spec));
  }
  if (auto s = last.update(verdicts); !s)
    progress.say("--failed will not know of this run: " + s.error().message());
}

uint32_t jobs_of(uint32_t asked, const TestPlan& plan, const std::vector<size_t>& order, size_t rounds,
                 const RunEnvironment& env, Progress& progress) {
  JobsRequest request{
      .emulated = env.accelerator.name == "tcg", .most_memory_mb = 0, .runs = 0, .room = host_room()};
  for (size_t i : order) {
    const PlannedTest& test = plan.tests[i];
    if (!test.skip.empty()) continue;
    request.runs += rounds;
    const TopologyT& t = *test.test.spec.topology;
    request.most_vcpus = std::max(request.most_vcpus, t.llcs * t.cores * t.threads);
    request.most_memory_mb = std::max<uint64_t>(request.most_memory_mb, test.test.spec.memory_mb);
  }
  const JobsChoice choice = choose_jobs(request);
  if (asked == 0) {
    progress.say("jobs: " + std::to_string(choice.jobs) + " (auto: " + choice.why + ")");
    return choice.jobs;
  }
  if (asked > choice.jobs && asked <= request.runs)
    progress.say("jobs: " + std::to_string(asked) + ", as asked for; this host has room for " +
                 std::to_string(choice.jobs) + " (" + choice.why + "): deadlines are longer");
  return static_cast<uint32_t>(std::min<size_t>(asked, std::max<size_t>(request.runs, 1)));
}

void say_kernels(const TestPlan& plan, Progress& progress) {
  for (const KernelInfoT& kernel : plan.kernels) {
    progress.say("kernel " + kernel.release + " (" + kernel.origin + ")");
    if (kernel_config_of(kernel.path, kernel.release).empty())
      progress.say("warning: the configuration of kernel " + kernel.release +
                   " is not known: schedulers that read it (extern … __kconfig) do not load on it");
    if (!kernel.damaged_kfuncs.empty())
      progress.say("warning: the BTF of kernel " + kernel.release + " describes " +
                   kfuncs_text(kernel.damaged_kfuncs) +
                   " wrongly: schedulers that call one of these do not load on it");
  }
}

bool on_github() { return env_value("GITHUB_ACTIONS") == "true"; }

// Documents of the whole run. Their failure spoils a run that passed.
ExitCode write_documents(const RunCommandOptions& options, RecordedFiles files, ExitCode code) {
  const bool github = on_github();
  if (!options.documents.any() && !github) return code;
  auto made = run_reporter({.files = std::move(files),
                            .documents = options.documents,
                            .annotate = github,
                            .append_markdown = github ? env_value("GITHUB_STEP_SUMMARY") : ""});
  if (!made) report_error(made.error(), kInfra);
  const bool failed = !made || *made == kUsage || *made == kInfra;
  return failed && code == ExitCode::kPass ? ExitCode::kInfrastructure : code;
}

// What a sweep found, from its logs. A log or a file that fails spoils a sweep that passed.
int print_sweep(const RunCommandOptions& options, const std::vector<std::string>& logs, int code) {
  std::vector<SweepCell> cells;
  Status status;
  for (const std::string& log : logs) {
    auto cell = read_sweep_cell(log);
    if (cell)
      cells.push_back(std::move(*cell));
    else
      status = std::move(cell).error();
  }
  auto write = [&](const std::string& path, const std::string& text) {
    if (path.empty()) return;
    if (path == "-")
      std::fputs(text.c_str(), stdout);
    else if (auto s = write_file_atomically(path, text); !s)
      status = std::move(s);
  };
  write("-", "\n" + sweep_text(cells));
  write(options.sweep_json, sweep_json(cells));
  write(options.sweep_markdown, sweep_markdown(cells));
  if (status) return code;
  report_error(status.error(), kInfra);
  return code == 0 ? kInfra : code;
}

// What a filter that selects nothing may have meant.
std::string nearest_test(const std::vector<std::string>& filters, const std::vector<std::string>& names) {
  for (const std::string& filter : filters) {
    const size_t open = filter.find("test("), close = filter.find(')', open == filter.npos ? 0 : open);
    if (open == filter.npos || close == filter.npos) continue;
    std::string word = filter.substr(open + 5, close - open - 5);
    if (word.starts_with("=")) word.erase(0, 1);
    if (const std::string meant = closest(word, names); !meant.empty())
      return "did you mean test(=" + meant + ")?";
  }
  return names.empty() ? "" : "ktstr-launch list names the tests";
}

}  // namespace

int run_command(const RunCommandOptions& options) {
  Result<Filter> filter = Error::not_found("no filter");
  if (!options.filters.empty()) filter = Filter::parse_any(options.filters);
  auto wishes = parse_wishes(options);
  if (!wishes) return report_error(wishes.error(), kUsage);
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
  std::vector<std::string> names;
  for (const LoadedTest& test : *tests) names.push_back(test.spec.name);

  auto listen = listen_address(options);
  if (!listen) return report_error(listen.error(), kUsage);

  // Its carriers are files that the launcher pumps, and its guest stands still for the monitor by itself.
  if (options.deterministic && (options.gdb || !options.keep_dump.empty()))
    return report_error(Error::invalid("--gdb and --keep-dump do not go with --deterministic"), kUsage);
  PreparedRun prepared(options);
  RunEnvironment& env = prepared.env();
  Progress& progress = prepared.progress();
  env.listen = *listen;
  env.embed = options.embed;
  env.keep_dump = options.keep_dump == "always"  ? KeepDump::kAlways
                  : options.keep_dump == "panic" ? KeepDump::kPanic
                                                 : KeepDump::kNever;
  if (options.gdb) env.gdb = GdbStub{.socket = "", .waits = true};
  env.qemu_args = options.qemu_args;
  env.kernel_args = options.kernel_args;
  env.known = options.known;
  env.rerun_options = rerun_options(options);
  if (options.sweep_s > 0) env.verb = "sweep";
  env.partition = options.partition;
  if (options.no_skips) env.environment.emplace_back("KTSTR_NO_SKIPS", "1");
  auto plan = planner.plan(std::move(*tests));
  if (!plan) return report_error(plan.error(), kUsage);
  if (plan->tests.empty())
    return report_error(
        Error::not_found("no test is selected").with_hint(nearest_test(options.filters, names)),
        exit_code(ExitCode::kNoTests));
  std::error_code no_folder;
  const LastRun last(folder_options(), std::filesystem::current_path(no_folder).string());
  const std::vector<size_t> order = select_tests(*plan, options, wishes->partition, last);
  if (order.empty() && options.failed)
    return report_error(
        Error::not_found("no test is selected: of these, none failed in the last runs in this folder"),
        exit_code(ExitCode::kNoTests));
  if (options.gdb && (order.size() != 1 || options.repeat > 1 || options.retries > 0))
    return report_error(
        Error::invalid("--gdb is for one run of one test; " + std::to_string(order.size()) + " are selected")
            .with_hint("-E 'test(=" + plan->tests[order.front()].test.spec.name +
                       ")', without --repeat and --retries"),
        kUsage);
  env.kernel = plan->kernels[plan->tests[order.empty() ? 0 : order.front()].kernel];
  if (auto failure = prepared.prepare(*cache_dir)) return report_error(failure->error, failure->code);
  auto plan_file = write_plan(env, *plan, order);
  if (!plan_file) return report_error(plan_file.error(), kInfra);
  say_kernels(*plan, progress);
  progress.say(env.accelerator.name + ": " + env.accelerator.reason);
  if (options.shuffle) progress.say("the order of the tests: --shuffle " + std::to_string(*options.shuffle));
  if (!options.partition.empty())
    progress.say("partition " + options.partition + ": " + std::to_string(order.size()) + " of " +
                 std::to_string(plan->tests.size()) + " tests");
  env.jobs = jobs_of(wishes->jobs, *plan, order, options.repeat, env, progress);
  progress.clear();
  prepared.catch_signals();

  RunnerResult result = run_tests({.plan = &*plan,
                                   .order = order,
                                   .schedule = {.jobs = env.jobs,
                                                .retries = options.retries,
                                                .rounds = options.repeat,
                                                .until_fail = options.until_fail,
                                                .fail_fast = options.fail_fast},
                                   .slow_ns = static_cast<uint64_t>(options.slow_s * 1e9),
                                   .no_skips = options.no_skips,
                                   .quiet = options.quiet,
                                   .workflow_groups = on_github()},
                                  env);
  remember(last, *plan, order, result.ended, progress);
  if (result.not_run > 0)
    progress.say(std::to_string(result.not_run) + " of " + std::to_string(order.size()) +
                 " tests were not run");
  const ExitCode code = write_documents(options, {.logs = result.logs, .plans = {*plan_file}}, result.code);
  const int end = PreparedRun::end(
      result.ended, code,
      {.no_skips = options.no_skips, .repeated = options.repeat > 1, .not_run = result.not_run});
  return options.sweep_s > 0 ? print_sweep(options, result.logs, end) : end;
}

}  // namespace ktstr
