#include "reporter/cause.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "base/wording.h"
#include "explain/error_words.h"
#include "explain/explanation.h"
#include "explain/stall_class.h"
#include "reporter/crash_place.h"
#include "reporter/names.h"
#include "reporter/wait_cause.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/constants.h"
#include "scx/crash_frames.h"
#include "scx/hotplug_exit.h"
#include "scx/stall.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

std::string seconds(uint64_t ns) { return fmt::format("{:.1f} s", static_cast<double>(ns) / 1e9); }

std::string scheduler_name(const RunModel& model) {
  return model.started() && model.spec().scheduler ? model.spec().scheduler->name : "";
}

// The host gave the guest's CPUs less than half of the time that they asked for.
bool host_kept_cpus(const VmRecord& vm) {
  uint64_t ran = 0, waited = 0;
  for (const auto& [tid, use] : vm.monitor.summary.vcpus()) {
    ran += use.run_last - use.run_first;
    waited += use.wait_last - use.wait_first;
  }
  return waited > ran;
}

// Nobody names the tasks that the watchdog's worker waited with: the longest wait that was seen tells where tasks wait.
void starved_watchdog(const CrashDetectedT& crash, const VmRecord& vm, Cause& cause) {
  StallFacts facts;
  facts.watchdog_itself = true;
  facts.waited_ns = watchdog_silence_ns(crash.message);
  cause.summary += classify_stall(facts).sentence;
  const auto wait = vm.monitor.waits.find(0);
  if (host_kept_cpus(vm) && (!wait || explain_wait(vm, wait->pid).what == StallClass::kUnknown)) {
    cause.summary +=
        "; the host did not run the guest's CPUs for more than half of the time that they asked for, and "
        "nothing else was seen that delays a task";
    cause.advice = "run it again on an idle host";
  } else {
    cause.advice = stall_advice(StallClass::kWatchdogStarved);
  }
  if (!wait || wait->wait_ns < facts.waited_ns / 2) return;
  WaitCause seen = explain_wait(vm, wait->pid);
  cause.summary += fmt::format("; {}[{}] waited longest, {}: {}", wait->comm, wait->pid,
                               human_ns(wait->wait_ns), seen.summary);
  cause.evidence = std::move(seen.evidence);
  if (!seen.advice.empty()) cause.advice = std::move(seen.advice);
}

// "; meanwhile the test was at step 1: offline 3": the machine that the scheduler stalled on was being changed by the test.
std::string changed_meanwhile(const VmRecord& vm) {
  const std::string text = vm.scenario_end ? vm.actions.under_way(*vm.scenario_end) : "";
  return text.empty() ? "" : "; meanwhile the test was at " + text;
}

Cause stall_cause(const RunModel& model, const CrashDetectedT& crash, const VmRecord& vm) {
  Cause cause{FailureKind::kStall, "", "scheduler aborted: a task was not run"};
  const std::string head = (crash.reason.empty() ? "runnable task stall" : crash.reason) + ": ";
  cause.summary = head;
  if (watchdog_silence_ns(crash.message)) {
    starved_watchdog(crash, vm, cause);
    return cause;
  }
  const bool named = !crash.stall_task_comm.empty() || crash.stall_task_pid != 0;
  cause.summary += named
                       ? fmt::format("{}[{}] was not run for {}", crash.stall_task_comm, crash.stall_task_pid,
                                     crash.stall_ns ? seconds(crash.stall_ns) : "too long")
                       : crash.message;
  if (crash.stall_task_pid > 0) {
    // What was seen from outside decides. The dump alone is one moment: it may speak only where nobody saw the wait.
    WaitCause seen = explain_wait(vm, crash.stall_task_pid);
    const ScxDump& dump = vm.scheduler.words.dump();
    const DumpTask* task = dump.find(crash.stall_task_pid);
    const StallFacts facts = stall_facts(&dump, crash.stall_task_comm, crash.stall_task_pid, crash.stall_ns);
    if (!vm.monitor.waits.find(crash.stall_task_pid) && seen.what == StallClass::kUnknown && task &&
        facts.where != WaitIn::kBypassDsq) {
      const StallVerdict verdict = classify_stall(facts);
      cause.summary = head + verdict.sentence + fmt::format(", on CPU {}'s run queue", task->cpu);
      cause.advice = stall_advice(verdict.what);
      cause.evidence = verdict.evidence;
    } else {
      cause.summary += "; " + seen.summary;
      cause.evidence = std::move(seen.evidence);
      cause.advice = std::move(seen.advice);
    }
  }
  if (scheduler_frame(crash)) cause.summary += crash_place(model, vm, crash);
  return cause;
}

Cause crash_cause(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash) {
  const std::string what = crash.message.empty() ? "" : ": " + crash.message;
  std::string frame = crash_place(model, vm, crash);
  if (frame.empty() && !crash.backtrace.empty() && crash.kind != CrashKind::SchedExtExit)
    frame = fmt::format(" (in {})", fault_place(crash).function);
  if (!crash.artefact.empty()) {
    return {FailureKind::kArtefact,
            fmt::format("emulator artifact, no finding about the scheduler: {}{} [{}]",
                        crash.reason.empty() ? "kernel oops" : crash.reason, what, crash.artefact),
            "emulator artifact"};
  }
  auto of_kernel = [&](FailureKind kind, const char* fallback, const char* reason) {
    std::string head = crash.reason.empty() ? fallback : crash.reason;
    if (head.find(fallback) == head.npos) head = fmt::format("{}: {}", fallback, head);
    std::string when = fmt::format("; the guest had reached: {}", stage_name(vm.boot.stage));
    return Cause{kind, head + what + frame + when, reason};
  };
  switch (crash.kind) {
    case CrashKind::KernelPanic:
      return vm.reached(Stage::InitStarted)
                 ? of_kernel(FailureKind::kKernelPanic, "kernel panic", "the guest's kernel panicked")
                 : of_kernel(FailureKind::kBootFailed, "kernel panic",
                             "the guest's kernel panicked while booting");
    case CrashKind::KernelOops:
      return of_kernel(FailureKind::kKernelOops, "kernel oops", "the guest's kernel oopsed");
    case CrashKind::Lockup:
      return of_kernel(FailureKind::kLockup, "lockup", "the guest's kernel locked up");
    case CrashKind::SchedExtExit:
      break;
  }
  if (is_stall(crash) || watchdog_silence_ns(crash.message)) {
    Cause cause = stall_cause(model, crash, vm);
    cause.summary += changed_meanwhile(vm);
    if (const auto end = vm.scheduler.user_end.end(); end && end->kind == UserEndKind::kPanic)
      cause.evidence.insert(cause.evidence.begin(),
                            "a thread of the scheduler's process had " + user_end_words(*end));
    return cause;
  }
  std::string head = crash.reason.empty() ? exit_kind_name(crash.exit_kind) : crash.reason;
  if (crash.exit_kind != 0 && !is_scx_error(crash.exit_kind))
    return {
        FailureKind::kSchedulerLeft,
        fmt::format("scheduler {} left during the test: {}{}{}", scheduler_name(model), head, what, frame),
        "scheduler left during the test"};
  const bool by_kernel = crash.exit_kind == kScxExitError;
  return {FailureKind::kSchedulerCrash,
          head + what + number_note(crash.message) + frame,
          "scheduler crashed",
          {},
          by_kernel ? std::string(error_advice(crash.message)) : ""};
}

// What the kernel said, where no CrashDetected came: a lost collector, a log that ends early.
std::optional<CrashDetectedT> crash_from_words(const VmRecord& vm) {
  auto error = vm.scheduler.words.error();
  return error ? std::optional(to_crash(std::move(*error))) : std::nullopt;
}

std::string load_sentence(const LoadFailure& load) {
  std::string text = load.program.empty()
                         ? load.reason
                         : fmt::format("program '{}' rejected: {}", load.program, load.reason);
  // "path/file.c:5: text" without the path
  auto short_place = [](const std::string& place) {
    return place.substr(place.substr(0, place.find(": ")).rfind('/') + 1);
  };
  if (!load.taken.empty())
    text += fmt::format("; the reference is taken at {}, and not released", short_place(load.taken));
  std::string at;
  auto add = [&](const std::string& more) { at += at.empty() ? more : "; " + more; };
  if (!load.own.empty()) add("after " + short_place(load.own));
  std::string line(file_name(load.where));
  if (!load.source.empty()) line += fmt::format("{}{}", line.empty() ? "" : ": ", load.source);
  // At a program's exit the verifier stands on its head line, which tells nothing.
  const bool head_line =
      !load.own.empty() && load.own.starts_with(load.where.substr(0, load.where.rfind(':')));
  if (!line.empty() && !head_line) add(load.own.empty() ? line : "inlined there: " + line);
  if (!load.insn.empty()) add("at insn " + load.insn);
  return at.empty() ? text : fmt::format("{} ({})", text, at);
}

std::string ended(const SchedulerExitedT& exit) {
  return exit.signal ? fmt::format("killed by {}", signal_name(exit.signal))
                     : fmt::format("exit code {}", exit.exit_code);
}

// Asked for by its own programs or by the kernel, without an error; not because its process went away.
bool left_by_itself(const ScxExit& exit) {
  const uint64_t kind = exit.known_kind();
  return kind != 0 && kind != kScxExitUnreg && !is_scx_error(kind);
}

// The kernel's console keeps such an exit's message to itself; schedulers print it.
std::string exit_words(const VmRecord& vm, const ScxExit& exit) {
  const std::string text =
      exit.message.empty() ? vm.scheduler.words.printed_message(exit.reason) : exit.message;
  return text.empty() ? "" : ": " + text.substr(0, 400);
}

// "; CPU hotplug, …", and what came of the restart that the kernel asks for; "": another exit.
std::string hotplug_end(const VmRecord& vm, const ScxExit& exit) {
  const auto hotplug = parse_hotplug_exit(exit_words(vm, exit));
  if (!hotplug) return "";
  const auto& process = vm.scheduler.exit;
  std::string restart = ", and it did not within its time";
  if (const auto failed = vm.scheduler.reload.failure())
    restart = ", and that failed: " + load_sentence(*failed);
  else if (process && !process->requested)
    restart = fmt::format(", and it ended ({})", ended(*process));
  return "; " + hotplug_words(*hotplug) + restart;
}

// "; it panicked at main.rs:12: no cell": the process's own words about its end; else what it said last.
std::string last_words(const VmRecord& vm) {
  const auto end = vm.scheduler.user_end.end();
  if (end && end->kind != UserEndKind::kExitWords && end->kind != UserEndKind::kSignal)
    return "; it said: " + user_end_words(*end);
  return vm.scheduler.last_stderr_line.empty() ? "" : "; its last line: " + vm.scheduler.last_stderr_line;
}

// "std::map<std::string, int>::at" as "std::map<…>::at": names that a compiler writes out say little and are long.
std::string without_template_arguments(std::string_view name) {
  std::string out;
  int depth = 0;
  for (const char c : name) {
    if (c == '<' && depth++ == 0) out += "<…>";
    if (depth == 0) out += c;
    if (c == '>' && depth > 0) --depth;
  }
  return depth == 0 ? out : std::string(name);  // operator<, ->
}

// ", in abort+0x9 (libc.so.6), from check+0x1b (scx_x)": the innermost frame that has a name, and the
// scheduler's own that led there.
std::string core_frame(const SchedulerExitedT& exit, const VmRecord& vm) {
  const auto& frames = exit.core_frames;
  if (frames.empty()) return "";
  auto named = std::find_if(frames.begin(), frames.end(), [](const auto& f) { return !f.starts_with("?"); });
  const std::string& innermost = named == frames.end() ? frames.front() : *named;
  std::string text = ", in " + innermost;
  if (vm.scheduler.argv.empty()) return text;
  const std::string module = fmt::format(" ({})", file_name(vm.scheduler.argv.front()));
  auto own = std::find_if(frames.begin(), frames.end(), [&](const auto& f) {
    return f.ends_with(module) && !f.starts_with("?") && !f.starts_with("std::") && !f.starts_with("__");
  });
  if (own != frames.end() && *own != innermost) text += ", from " + without_template_arguments(*own);
  return text;
}

// The kfunc that the load failed at, if it is one that the kernel's BTF describes wrongly.
const std::string* damaged_kfunc(const RunModel& model, const VmRecord& vm) {
  if (!model.run().kernel) return nullptr;
  for (const std::string& name : model.run().kernel->damaged_kfuncs)
    for (const std::string& said : vm.scheduler.kfunc_complaints)
      if (said.find(name) != std::string::npos) return &name;
  return nullptr;
}

// A scheduler that never attached.
Cause unattached(const RunModel& model, const VmRecord& vm) {
  const std::string name = scheduler_name(model);
  const auto& exit = vm.scheduler.exit;
  if (vm.scheduler.argv.empty() && vm.boot.failed)
    return {FailureKind::kNotStarted,
            fmt::format("scheduler {} could not be started: {}", name, vm.boot.failed->error),
            "scheduler could not be started"};
  auto load = vm.scheduler.load.failure();
  bool refused = load && !(exit && exit->signal) && !(exit && exit->requested && load->program.empty());
  const std::string* damaged = damaged_kfunc(model, vm);
  if (damaged && (refused || (exit && !exit->requested)))
    return {FailureKind::kKernelDamaged,
            fmt::format(
                "kernel {} cannot load scheduler {}: its BTF describes {} wrongly ({} kfuncs in all), so the "
                "verifier rejects every call of it; take another kernel",
                model.run().kernel->release, name, *damaged, model.run().kernel->damaged_kfuncs.size()),
            "kernel image is damaged"};
  // What the kernel lacks, in words; an objection of the verifier as it stands, with its place.
  const bool told = refused && load->cause != LoadCause::kVerifier && load->cause != LoadCause::kCutLog &&
                    load->cause != LoadCause::kOther && load->cause != LoadCause::kErrno;
  if (refused) {
    Explanation said = explain(*load);
    return {FailureKind::kLoadFailed,
            told ? fmt::format("scheduler {} {}", name, said.summary)
                 : fmt::format("scheduler {} did not load: {}{}", name, load_sentence(*load),
                               load->cause == LoadCause::kErrno && !load->attach
                                   ? " (neither libbpf nor the verifier printed a reason)"
                                   : ""),
            load->attach ? "scheduler did not attach" : "scheduler did not load",
            {},
            std::move(said.advice)};
  }
  if (exit && !exit->requested) {
    const bool usage = !vm.scheduler.usage_line.empty() && exit->signal == 0;
    const std::string words =
        usage ? "; it rejects its command line: " + vm.scheduler.usage_line : last_words(vm);
    return {FailureKind::kDiedUnattached,
            fmt::format("scheduler {} ended before it attached: {}{}{}", name, ended(*exit),
                        core_frame(*exit, vm), words),
            "scheduler ended before it attached",
            {},
            !usage ? ""
            : vm.scheduler.usage_tip.empty()
                ? "look at args and extra_args in the spec"
                : "look at args and extra_args in the spec; its own tip: " + vm.scheduler.usage_tip};
  }
  std::string why = vm.boot.failed ? vm.boot.failed->error
                    : vm.boot.exited && !vm.boot.exited->deadline.empty()
                        ? "deadline " + vm.boot.exited->deadline
                        : "the guest stopped sending";
  return {FailureKind::kNeverAttached, fmt::format("scheduler {} never attached: {}", name, why),
          "scheduler never attached"};
}

// The VM ended in a way that a good test does not end.
Cause vm_cause(const VmRecord& vm) {
  const VmExitedT& exit = *vm.boot.exited;
  const std::string at = "last stage: " + stage_name(vm.boot.stage);
  const std::string qemu = exit.stderr_tail.empty() ? "" : ": " + exit.stderr_tail.back();
  bool up = vm.reached(Stage::InitStarted);
  switch (exit.end) {
    case VmEnd::QemuFailed:
      return {
          FailureKind::kQemuFailed,
          fmt::format("QEMU failed ({}){}; {}",
                      exit.signal ? signal_name(exit.signal) : fmt::format("exit code {}", exit.exit_code),
                      qemu, at),
          "QEMU failed"};
    case VmEnd::TimedOut:
      if (!up)
        return {FailureKind::kBootFailed, fmt::format("boot hung: {}; deadline {}", at, exit.deadline),
                "boot hung"};
      return {FailureKind::kHang, fmt::format("guest hung: {}; deadline {}", at, exit.deadline),
              "guest hung (timeout)"};
    case VmEnd::Died:
      if (!up)
        return {FailureKind::kBootFailed, fmt::format("boot failed: the VM ended itself; {}", at),
                "boot failed"};
      return {FailureKind::kGuestDied, fmt::format("guest died without a message; {}", at), "guest died"};
    case VmEnd::PoweredOff:
    case VmEnd::Interrupted:
      break;
  }
  return {};
}

}  // namespace

bool needs_diagnostics(FailureKind kind) {
  return kind != FailureKind::kNone && kind != FailureKind::kWorkload;
}

std::string lost_evidence(const VmRecord& vm) {
  for (const std::string& who : vm.boot.missing)
    if (who.starts_with("collector")) return who;
  return {};
}

namespace {

// Concluded from what was not heard, not from what was.
bool rests_on_silence(FailureKind kind) {
  switch (kind) {
    case FailureKind::kHang:
    case FailureKind::kGuestDied:
    case FailureKind::kBootFailed:
    case FailureKind::kNeverAttached:
    case FailureKind::kSchedulerLeft:
      return true;
    default:
      return false;
  }
}

Cause cause_in_the_log(const RunModel& model) {
  const VmRecord& vm = model.primary();
  if (vm.scheduler.crash) return crash_cause(model, vm, *vm.scheduler.crash);
  if (auto crash = crash_from_words(vm)) return crash_cause(model, vm, *crash);
  if (vm.boot.exited && !(vm.boot.exited->end == VmEnd::TimedOut && vm.reached(Stage::SchedulerStarted) &&
                          !vm.scheduler.attached)) {
    if (Cause cause = vm_cause(vm); cause.kind != FailureKind::kNone) return cause;
  }
  bool wants_scheduler = model.started() && model.spec().scheduler != nullptr;
  if (wants_scheduler && !vm.scheduler.attached && (vm.boot.failed || vm.scheduler.exit || vm.boot.exited) &&
      !(vm.boot.exited && vm.boot.exited->end == VmEnd::Interrupted)) {
    if (vm.boot.failed && vm.boot.failed->stage < Stage::SchedulerStarted && vm.scheduler.argv.empty())
      return {FailureKind::kGuestFailed, "guest init failed: " + vm.boot.failed->error, "guest init failed"};
    return unattached(model, vm);
  }
  // Init gave up and asked the scheduler to end: that it left then is no finding.
  const bool asked = vm.boot.failed && vm.scheduler.exit && vm.scheduler.exit->requested;
  if (asked && vm.scheduler.attached && vm.boot.failed->fork_error != 0)
    return {FailureKind::kWorkload,
            fmt::format("under scheduler {} the kernel refuses forks with {}, init's own as well: {}",
                        scheduler_name(model), errno_text(vm.boot.failed->fork_error), vm.boot.failed->error),
            "the workload could not be started"};
  if (asked && vm.scheduler.attached)
    return {FailureKind::kGuestFailed, "guest init failed: " + vm.boot.failed->error, "guest init failed"};
  const bool early = vm.scheduler.detached_early || (vm.scheduler.exit && !vm.scheduler.exit->requested);
  if (const auto exit = vm.scheduler.words.console_exit();
      vm.scheduler.attached && early && exit && left_by_itself(*exit)) {
    return {FailureKind::kSchedulerLeft,
            fmt::format("scheduler {} left during the test: {}{}{}", scheduler_name(model), exit->reason,
                        exit_words(vm, *exit), hotplug_end(vm, *exit)),
            "scheduler left during the test",
            {},
            hotplug_end(vm, *exit).empty() ? "" : std::string(hotplug_advice())};
  }
  if (vm.scheduler.attached && vm.scheduler.exit && !vm.scheduler.exit->requested) {
    const SchedulerExitedT& exit = *vm.scheduler.exit;
    // An assertion or an exception says why; before another signal nothing was said.
    const std::string words = exit.signal && exit.signal != SIGABRT ? "" : last_words(vm);
    return {FailureKind::kSchedulerDied,
            fmt::format("scheduler {}'s process {}: {}{}{} (the kernel found no fault in it)",
                        scheduler_name(model), exit.signal ? "died" : "ended by itself", ended(exit),
                        core_frame(exit, vm), words),
            exit.signal ? "scheduler's process died" : "scheduler's process ended by itself"};
  }
  if (vm.scheduler.attached && vm.scheduler.detached_early) {
    return {
        FailureKind::kSchedulerLeft,
        fmt::format("sched_ext was {} during the test; no reason was recorded", vm.scheduler.detached_state),
        "scheduler left during the test"};
  }
  if (vm.boot.failed)
    return {FailureKind::kGuestFailed, "guest init failed: " + vm.boot.failed->error, "guest init failed"};
  return {};
}

}  // namespace

Cause find_cause(const RunModel& model) {
  Cause cause = cause_in_the_log(model);
  if (rests_on_silence(cause.kind) && !lost_evidence(model.primary()).empty()) return {};
  return cause;
}

}  // namespace ktstr
