// ktstr-launch replay LOG --vm --at TIME: the primary VM of a deterministic run takes its course again; at the times asked for its
// queues are read from outside, while it stands at its gate. That it was the same course is proved: both streams are compared.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/run/recorded_run.h"
#include "launcher/run/run_session.h"
#include "schemas/event_generated.h"
#include "schemas/exit_code.h"
#include "schemas/guest_generated.h"
#include "schemas/log_reader.h"
#include "schemas/normalised_stream.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

struct PrimaryCourse {
  std::string hash;
  uint64_t events = 0;
  uint64_t zero_ns = 0;  // the guest's clock where the report's timeline begins; 0: its start
};

Result<PrimaryCourse> course_of(const std::string& log) {
  auto reader = LogReader::open(log);
  if (!reader) return std::move(reader).error();
  NormalisedStream stream;
  PrimaryCourse course;
  while (true) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) break;
    if ((*event)->vm() != Vm::Primary) continue;
    stream.add(**event);
    auto* stage = (*event)->as<StageReached>();
    if (stage && stage->stage() == Stage::WorkloadStarted) course.zero_ns = (**event)->stamp()->guest_ns();
  }
  course.events = stream.events();
  course.hash = stream.hex();
  return course;
}

Result<RecordedRun> deterministic_run(const std::string& log, const std::string& cache_dir) {
  auto recorded = read_recorded_run(
      {.log = log, .store = std::filesystem::path(cache_dir).parent_path().string() + "/files"});
  if (recorded && !recorded->started.determinism)
    return Error::invalid(log + ": no deterministic run: its VM never takes this course again")
        .with_hint("run --deterministic records one; repro repeats a crash of any run");
  return recorded;
}

// The switches that the recorded run had: they shape the kernel's command line.
void take_switches(const RunStartedT& started, RunEnvironment& env) {
  env.environment.clear();
  env.verbose_console = false;
  for (const auto& value : started.environment) {
    env.environment.emplace_back(value->key, value->value);
    const bool full = value->key == "RUST_BACKTRACE" && value->value == "full";
    if (value->key == "RUST_BACKTRACE" || value->key == "KTSTR_VERBOSE")
      env.verbose_console = env.verbose_console || value->value == "1" || full;
  }
}

}  // namespace

int replay_vm(const ReplayCommandOptions& options) {
  if (options.logs.size() != 1 || options.at.empty())
    return report_error(Error::invalid("replay --vm takes one log and a time: --at SECONDS"), kUsage);
  const std::string& log = options.logs[0];
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kUsage);
  auto recorded = deterministic_run(log, *cache_dir);
  if (!recorded) return report_error(recorded.error(), kUsage);
  auto before = course_of(log);
  if (!before) return report_error(before.error(), kUsage);
  const RunStartedT& started = recorded->started;
  if (!started.kernel) return report_error(Error::invalid(log + ": does not tell the kernel"), kUsage);

  RunCommandOptions run;
  run.out = options.out;
  run.no_template = true;
  run.deterministic = true;
  PreparedRun prepared(run);
  RunEnvironment& env = prepared.env();
  auto cached = KernelCache(*cache_dir).find(started.kernel->release);
  auto kernel = kernel_for(cached && *cached ? started.kernel->release : started.kernel->path, *cache_dir);
  if (!kernel) return report_error(kernel.error(), kUsage);
  env.kernel = std::move(*kernel);
  if (auto failure = prepared.prepare(*cache_dir)) return report_error(failure->error, failure->code);
  env.determinism = *started.determinism;
  take_switches(started, env);
  for (double at : options.at) {
    const double ns = static_cast<double>(before->zero_ns) + at * 1e9;
    env.observe_ns.push_back(ns < 1 ? 1 : static_cast<uint64_t>(ns));
  }
  std::sort(env.observe_ns.begin(), env.observe_ns.end());
  if (!options.gdb.empty()) {
    std::error_code error;
    env.gdb_socket = std::filesystem::absolute(options.gdb, error).string();
    env.hold_at_ns = env.observe_ns.back();
  }
  prepared.catch_signals();
  TestSpecT spec(*started.spec);
  spec.auto_repro = false;  // the guest does not see it (launcher/run/vm_session.cc)
  auto result = run_test(spec, env);
  if (!result) return report_error(result.error(), kInfra);
  auto after = course_of(result->log);
  if (!after) return report_error(after.error(), kInfra);
  std::fflush(stdout);
  if (result->code == ExitCode::kInterrupted || result->code == ExitCode::kTerminated)
    return exit_code(result->code);
  if (after->hash == before->hash) {
    std::printf("the same course as recorded: %llu events, stream %s\nlog: %s\n",
                static_cast<unsigned long long>(after->events), after->hash.substr(0, 12).c_str(),
                result->log.c_str());
    return 0;
  }
  std::printf("another course than recorded: stream %s of %llu events, recorded %s of %llu\nlog: %s\n",
              after->hash.substr(0, 12).c_str(), static_cast<unsigned long long>(after->events),
              before->hash.substr(0, 12).c_str(), static_cast<unsigned long long>(before->events),
              result->log.c_str());
  return exit_code(ExitCode::kInconclusive);
}

}  // namespace ktstr
