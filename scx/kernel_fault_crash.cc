// What a fault is for the run: a crash or not, and whether the emulator made it.
#include "schemas/crash_generated.h"
#include "scx/kernel_fault_parser.h"
#include "scx/kernel_fault_words.h"

namespace ktstr {

std::optional<CrashKind> crash_kind(FaultKind kind) {
  switch (kind) {
    case FaultKind::Oops:
    case FaultKind::KernelBug:
      return CrashKind::KernelOops;
    case FaultKind::Panic:
      return CrashKind::KernelPanic;
    case FaultKind::HungTask:
    case FaultKind::RcuStall:
    case FaultKind::SoftLockup:
    case FaultKind::HardLockup:
    case FaultKind::WorkqueueLockup:
      return CrashKind::Lockup;
    default:
      return std::nullopt;
  }
}

CrashDetectedT to_crash(const KernelFaultT& fault) {
  CrashDetectedT crash;
  crash.kind = crash_kind(fault.kind).value_or(CrashKind::KernelOops);
  crash.reason = fault_name(fault.kind);
  crash.message = fault.message;
  crash.task_comm = fault.task_comm;
  crash.task_pid = fault.task_pid;
  crash.cpu = fault.cpu;
  crash.source = "console";
  const bool of_task = fault.kind == FaultKind::HungTask && fault.backtrace.empty() && !fault.tasks.empty();
  for (const auto& frame : of_task ? fault.tasks.front()->backtrace : fault.backtrace)
    crash.backtrace.push_back(std::make_unique<ChainFrameT>(*frame));
  return crash;
}

std::string emulator_artefact(const KernelFaultT& fault, std::string_view accelerator, bool after_scx_exit) {
  if (crash_kind(fault.kind) != CrashKind::KernelOops || accelerator != "tcg") return {};
  if (fault.title == "int3")
    return "int3 in kernel text while it was being patched, as happens under software emulation (tcg)";
  if (fault.jump_to_null)
    return "jump to address 0, as happens under software emulation (tcg) when kernel text is patched";
  if (!after_scx_exit && fault.kind != FaultKind::KernelBug)
    return "kernel oops under software emulation (tcg) with no scheduler exit before it";
  return {};
}

}  // namespace ktstr
