#include "reporter/cause.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>

#include "base/wording.h"
#include "explain/explanation.h"
#include "explain/stall_class.h"
#include "reporter/names.h"
#include "reporter/wait_cause.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/crash_frames.h"
#include "scx/stall.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

// The path it was compiled under is long and says little: the summary has its last part.
std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string seconds(uint64_t ns) { return fmt::format("{:.1f} s", static_cast<double>(ns) / 1e9); }

std::string scheduler_name(const RunModel& model) {
  return model.started() && model.spec().scheduler ? model.spec().scheduler->name : "";
}

// No frame of the scheduler: the kernel objected to what a callback had left behind.
std::string kernel_frame_note(const CrashDetectedT& crash, const VmRecord& vm) {
  const ChainFrameT* place = nullptr;
  for (const auto& frame : crash.backtrace) {
    if (!place && frame_noise(frame->function).empty()) place = frame.get();
    const std::string_view member = callback_called_by(frame->function);
    if (member.empty()) continue;
    auto fact = std::find_if(vm.scheduler.callbacks.begin(), vm.scheduler.callbacks.end(),
                             [&](const CallbackFact& c) { return c.member == member; });
    std::string who = fact == vm.scheduler.callbacks.end() ? "" : fmt::format(", {}", fact->name);
    if (!who.empty() && !fact->where.empty()) who += fmt::format(" at {}", file_name(fact->where));
    return fmt::format(" (in {}, after ops.{}{})", place->function, member, who);
  }
  return place ? fmt::format(" (in {})", place->function) : "";
}

// An inlined helper of a header says little: the first frame around it that is in a source file. Null:
// not needed.
const ChainFrameT* header_user(const CrashDetectedT& crash, const ChainFrameT* frame) {
  if (!frame->file.ends_with(".h")) return nullptr;
  bool inside = false;
  for (const auto& f : crash.backtrace) {
    if (inside && (f->tag.empty() || (!f->file.empty() && !f->file.ends_with(".h"))))
      return f->tag.empty() ? nullptr : f.get();
    inside = inside || f.get() == frame;
  }
  return nullptr;
}

// " (scx_x.bpf.c:213 in x_charge, called by x_enqueue: text)"
std::string frame_note(const CrashDetectedT& crash, const VmRecord& vm) {
  const ChainFrameT* frame = scheduler_frame(crash);
  if (!frame) return crash.kind == CrashKind::SchedExtExit ? kernel_frame_note(crash, vm) : "";
  const ChainFrameT* callback = frame;  // the outermost frame of the scheduler's unbroken run of frames
  auto at = std::find_if(crash.backtrace.begin(), crash.backtrace.end(),
                         [&](const auto& f) { return f.get() == frame; });
  for (; at != crash.backtrace.end() && !(*at)->tag.empty(); ++at) callback = at->get();
  const std::string by = callback->function == frame->function ? "" : ", called by " + callback->function;
  if (frame->file.empty()) return fmt::format(" (in {}+{:#x}{})", frame->function, frame->offset, by);
  std::string note = fmt::format(" ({}:{} in {}{}", file_name(frame->file), frame->line, frame->function, by);
  if (const ChainFrameT* user = header_user(crash, frame))
    note += fmt::format(", from {}:{} in {}", file_name(user->file), user->line, user->function);
  std::string_view text = frame->text;
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  if (!text.empty()) note += fmt::format(": {}", text.substr(0, 200));
  if (text.size() > 200 || text.ends_with(',')) note += " …";  // BTF keeps one line of a longer statement
  return note + ")";
}

// Where the kernel was when it fell, not the code that says so. REQUIRES: a backtrace.
const ChainFrameT& fault_place(const CrashDetectedT& crash) {
  for (const auto& frame : crash.backtrace)
    if (!frame->uncertain && frame_noise(frame->function).empty()) return *frame;
  return *crash.backtrace.front();
}

std::string stall_summary(const CrashDetectedT& crash, const VmRecord& vm) {
  const std::string head = (crash.reason.empty() ? "runnable task stall" : crash.reason) + ": ";
  const bool named = !crash.stall_task_comm.empty() || crash.stall_task_pid != 0;
  std::string text =
      head + (named ? fmt::format("{}[{}] was not run for {}", crash.stall_task_comm, crash.stall_task_pid,
                                  crash.stall_ns ? seconds(crash.stall_ns) : "too long")
                    : crash.message);
  if (crash.stall_task_pid > 0) {
    // What was seen from outside decides. The dump alone is one moment: it may speak only where nobody saw the wait.
    const WaitCause seen = explain_wait(vm, crash.stall_task_pid);
    const ScxDump& dump = vm.scheduler.words.dump();
    const DumpTask* task = dump.find(crash.stall_task_pid);
    const StallFacts facts = stall_facts(&dump, crash.stall_task_comm, crash.stall_task_pid, crash.stall_ns);
    if (!vm.monitor.waits.find(crash.stall_task_pid) && seen.what == WaitClass::kUnknown && task &&
        facts.where != WaitIn::kBypassDsq)
      text = head + classify_stall(facts).sentence + fmt::format(", on CPU {}'s run queue", task->cpu);
    else
      text += "; " + seen.summary;
  }
  return scheduler_frame(crash) ? text + frame_note(crash, vm) : text;
}

Cause crash_cause(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash) {
  const std::string what = crash.message.empty() ? "" : ": " + crash.message;
  std::string frame = frame_note(crash, vm);
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
  if (is_stall(crash))
    return {FailureKind::kStall, stall_summary(crash, vm), "scheduler aborted: a task was not run"};
  std::string head = crash.reason.empty() ? exit_kind_name(crash.exit_kind) : crash.reason;
  if (crash.exit_kind != 0 && !is_scx_error(crash.exit_kind))
    return {
        FailureKind::kSchedulerLeft,
        fmt::format("scheduler {} left during the test: {}{}{}", scheduler_name(model), head, what, frame),
        "scheduler left during the test"};
  return {FailureKind::kSchedulerCrash, head + what + frame, "scheduler crashed"};
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
  if (load.where.empty() && load.insn.empty()) return text;
  text += " (";
  text += file_name(load.where);
  if (!load.source.empty()) text += fmt::format("{}{}", load.where.empty() ? "" : ": ", load.source);
  if (!load.insn.empty()) text += fmt::format("{}at insn {}", load.where.empty() ? "" : "; ", load.insn);
  return text + ")";
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
  auto own = std::find_if(frames.begin(), frames.end(), [&](const auto& f) { return f.ends_with(module); });
  if (own != frames.end() && *own != innermost && !own->starts_with("?")) text += ", from " + *own;
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
  if (told)
    return {FailureKind::kLoadFailed, fmt::format("scheduler {} {}", name, explain(*load).summary),
            "scheduler did not load"};
  if (refused)
    return {FailureKind::kLoadFailed,
            fmt::format("scheduler {} did not load: {}", name, load_sentence(*load)),
            "scheduler did not load"};
  if (exit && !exit->requested) {
    std::string words =
        vm.scheduler.last_stderr_line.empty() ? "" : "; its last line: " + vm.scheduler.last_stderr_line;
    return {FailureKind::kDiedUnattached,
            fmt::format("scheduler {} ended before it attached: {}{}{}", name, ended(*exit),
                        core_frame(*exit, vm), words),
            "scheduler ended before it attached"};
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

const ChainFrameT* scheduler_frame(const CrashDetectedT& crash) {
  // A frame with its source first; a trampoline of the scheduler has a tag too, but no line.
  for (bool need_source : {true, false})
    for (const auto& frame : crash.backtrace)
      if (!frame->tag.empty() && (!need_source || !frame->file.empty())) return frame.get();
  return nullptr;
}

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
            fmt::format("scheduler {} left during the test: {}{}", scheduler_name(model), exit->reason,
                        exit_words(vm, *exit)),
            "scheduler left during the test"};
  }
  if (vm.scheduler.attached && vm.scheduler.exit && !vm.scheduler.exit->requested) {
    const SchedulerExitedT& exit = *vm.scheduler.exit;
    std::string words = vm.scheduler.last_stderr_line.empty() ||
                                (exit.signal && exit.signal != SIGABRT)  // an assertion says why
                            ? ""
                            : "; its last line: " + vm.scheduler.last_stderr_line;
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
