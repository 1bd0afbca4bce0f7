#include "collector/crash_detector.h"

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

// Takes from `other` what `exit` does not tell.
void complete(ScxExit& exit, const std::optional<ScxExit>& other) {
  if (!other || !other->is_error()) return;
  if (exit.kind == 0) exit.kind = other->kind;
  if (exit.reason.empty()) exit.reason = other->reason;
  if (exit.message.empty()) exit.message = other->message;
  if (exit.ops_name.empty()) exit.ops_name = other->ops_name;
  if (exit.comm.empty()) {
    exit.comm = other->comm;
    exit.pid = other->pid;
  }
  if (exit.cpu < 0) exit.cpu = other->cpu;
  if (exit.guest_ns == 0) exit.guest_ns = other->guest_ns;
  if (exit.backtrace.empty()) exit.backtrace = other->backtrace;
}

}  // namespace

void CrashDetector::on_event(const EventBuffer& event) {
  const uint64_t guest_ns = event->stamp()->guest_ns();
  if (auto* dump = event.as<DumpLine>()) {
    dump_.feed(str(dump->text()), {dump->pid(), dump->cpu(), guest_ns});
  } else if (auto* out = event.as<SchedulerLine>()) {
    (out->stream() == OutputStream::Stdout ? scheduler_out_ : scheduler_err_).feed(str(out->text()));
  } else if (auto* console = event.as<ConsoleLine>()) {
    const StampedText line = split_stamp(str(console->text()));
    console_.feed(line.text, line.guest_ns);
    faults_.feed(line.text, line.guest_ns);
  } else if (auto* program = event.as<BpfProgram>()) {
    lines_.add(*program);
  } else if (auto* attached = event.as<SchedulerAttached>()) {
    ops_name_ = str(attached->ops_name());
  }
}

std::optional<CrashDetectedT> CrashDetector::result() const {
  auto exit = scheduler_exit();
  for (const KernelFault& fault : faults_.faults()) {
    const bool after = exit && exit_before(fault);
    // The kernel answers a lockup by disabling the scheduler: the exit then says more.
    if (exit && (after || fault.kind == CrashKind::Lockup)) continue;
    return kernel_fault(fault, after);
  }
  return exit;
}

std::optional<CrashDetectedT> CrashDetector::scheduler_exit() const {
  struct Source {
    std::optional<ScxExit> exit;
    const char* name;
  };
  const Source sources[] = {{dump_.result(), "sched_ext_dump"},
                            {console_.result(), "console"},
                            {scheduler_err_.result(), "scheduler log"},
                            {scheduler_out_.result(), "scheduler log"}};
  const Source* best = nullptr;
  for (const Source& s : sources) {
    if (!best && s.exit && s.exit->is_error()) best = &s;
  }
  if (!best) return std::nullopt;
  ScxExit exit = *best->exit;
  for (const Source& s : sources) complete(exit, s.exit);

  CrashDetectedT crash;
  crash.kind = CrashKind::SchedExtExit;
  crash.exit_kind = exit.kind;
  crash.reason = exit.reason;
  crash.message = exit.message;
  crash.ops_name = exit.ops_name.empty() ? ops_name_ : exit.ops_name;
  crash.task_comm = exit.comm;
  crash.task_pid = exit.pid;
  crash.cpu = exit.cpu;
  crash.source = best->name;
  if (auto stall = parse_stall(exit.message)) {
    crash.stall_task_comm = stall->comm;
    crash.stall_task_pid = stall->pid;
    crash.stall_ns = stall->ns;
  }
  lines_.resolve(exit.backtrace);
  for (ChainFrameT& frame : exit.backtrace)
    crash.backtrace.push_back(std::make_unique<ChainFrameT>(std::move(frame)));
  return crash;
}

CrashDetectedT CrashDetector::kernel_fault(const KernelFault& fault, bool after_exit) const {
  CrashDetectedT crash;
  crash.kind = fault.kind;
  crash.reason = fault.reason;
  crash.message = fault.message;
  crash.ops_name = ops_name_;
  crash.task_comm = fault.comm;
  crash.task_pid = fault.pid;
  crash.cpu = fault.cpu;
  crash.source = "console";
  crash.artefact = emulator_artefact(fault, accelerator_, after_exit);
  auto backtrace = fault.backtrace;
  lines_.resolve(backtrace);
  for (ChainFrameT& frame : backtrace)
    crash.backtrace.push_back(std::make_unique<ChainFrameT>(std::move(frame)));
  return crash;
}

// The dump is taken at once, the console's line follows a second later: either may be missing. Both clocks
// count from boot and differ by milliseconds at most.
bool CrashDetector::exit_before(const KernelFault& fault) const {
  for (const auto& exit : {dump_.result(), console_.result()}) {
    if (exit && exit->is_error() && exit->guest_ns != 0 && exit->guest_ns <= fault.guest_ns) return true;
  }
  return false;
}

}  // namespace ktstr
