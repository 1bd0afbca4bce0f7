// ktstr-launch replay LOG --vm --at TIME: the primary VM of a deterministic run takes its course again; at the times asked for its
// queues are read from outside, while it waits at its gate. Both streams are compared, to prove that it was the same course.
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
#include "schemas/monitor_generated.h"
#include "schemas/normalised_stream.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

struct PrimaryCourse {
  std::string hash;
  uint64_t events = 0;
  uint64_t zero_ns =
      0;  // the guest's clock where the report's timeline has its 0: at the workload's start; 0: there was none
  uint64_t held_ns = 0;  // the gate behind which the VM was stopped; 0: it was not
};

// `until_ns`: only what has an earlier stamp of the guest's clock; 0: all.
Result<PrimaryCourse> course_of(const std::string& log, uint64_t until_ns = 0) {
  auto reader = LogReader::open(log);
  if (!reader) return std::move(reader).error();
  NormalisedStream stream;
  PrimaryCourse course;
  while (true) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) break;
    if ((*event)->vm() != Vm::Primary) continue;
    const uint64_t at = (**event)->stamp()->guest_ns();
    if (until_ns == 0 || (at != 0 && at < until_ns)) stream.add(**event);
    if (auto* held = (*event)->as<VmHeld>(); held && str(held->error()).empty())
      course.held_ns = held->gate_ns();
    // As reporter/vm_record has it.
    auto* phase = (*event)->as<PhaseStarted>();
    if (phase && course.zero_ns == 0 && str(phase->name()) == "workload") course.zero_ns = at;
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
    env.gdb = GdbStub{.socket = std::filesystem::absolute(options.gdb, error).string(), .waits = false};
    env.hold_at_ns = env.observe_ns.back();
  }
  prepared.catch_signals();
  TestSpecT spec(*started.spec);
  spec.auto_repro = false;  // the guest does not see it (launcher/run/vm_session.cc)
  auto result = run_test(spec, env);
  if (!result) return report_error(result.error(), kInfra);
  auto after = course_of(result->log);
  if (!after) return report_error(after.error(), kInfra);
  // A stop moves QEMU's clock a little: what comes behind it is another course.
  const uint64_t held_ns = after->held_ns;
  if (held_ns != 0) {
    before = course_of(log, held_ns);
    after = course_of(result->log, held_ns);
    for (auto* course : {&before, &after})
      if (!*course) return report_error(course->error(), kInfra);
  }
  const std::string where =
      held_ns == 0 ? "" : " up to the stop, " + human_ns(held_ns) + " of the guest's clock";
  std::fflush(stdout);
  const bool interrupted = result->code == ExitCode::kInterrupted || result->code == ExitCode::kTerminated;
  if (interrupted && held_ns == 0) return exit_code(result->code);
  const auto stream = [](const PrimaryCourse& c) {
    return std::to_string(c.events) + " events, stream " + c.hash.substr(0, 12);
  };
  const bool same = after->hash == before->hash;
  if (same)
    std::printf("the same course as recorded%s: %s\n", where.c_str(), stream(*after).c_str());
  else
    std::printf("another course than recorded%s: %s; recorded: %s\n", where.c_str(), stream(*after).c_str(),
                stream(*before).c_str());
  std::printf("log: %s\n", result->log.c_str());
  if (interrupted) return exit_code(result->code);
  return same ? 0 : exit_code(ExitCode::kInconclusive);
}

}  // namespace ktstr
