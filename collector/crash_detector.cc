#include "collector/crash_detector.h"

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {
void CrashDetector::on_event(const EventBuffer& event) {
  words_.fold(event);
  if (auto* console = event.as<ConsoleLine>()) {
    const StampedText line = split_stamp(str(console->text()));
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
    // The kernel answers a lockup by aborting the scheduler: then the exit tells more.
    if (exit && (after || fault.kind == CrashKind::Lockup)) continue;
    return kernel_fault(fault, after);
  }
  return exit;
}

std::optional<CrashDetectedT> CrashDetector::scheduler_exit() const {
  auto error = words_.error();
  if (!error) return std::nullopt;
  lines_.resolve(error->exit.backtrace);
  CrashDetectedT crash = to_crash(std::move(*error));
  if (crash.ops_name.empty()) crash.ops_name = ops_name_;
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
  for (const auto& exit : {words_.dump().exit(), words_.console_exit()}) {
    if (exit && exit->is_error() && exit->guest_ns != 0 && exit->guest_ns <= fault.guest_ns) return true;
  }
  return false;
}

}  // namespace ktstr
