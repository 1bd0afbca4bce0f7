#include "scx/vocabulary.h"

#include "base/numbers.h"
#include "base/text.h"
#include "schemas/common_generated.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

struct ExitKind {
  uint64_t kind;
  std::string_view reason;
};
constexpr ExitKind kExitKinds[] = {{kScxExitUnreg, "unregistered from user space"},
                                   {kScxExitUnregBpf, "unregistered from BPF"},
                                   {kScxExitUnregKern, "unregistered from the main kernel"},
                                   {kScxExitSysrq, "disabled by sysrq-S"},
                                   {kScxExitParent, "parent exiting"},
                                   {kScxExitParentKill, "killed by parent scheduler"},
                                   {kScxExitError, "runtime error"},
                                   {kScxExitErrorBpf, "scx_bpf_error"},
                                   {kScxExitErrorStall, "runnable task stall"},
                                   {kScxExitErrorReenq, "reenqueue limit"},
                                   {kScxExitErrorRescue, "rescue bandwidth overload"}};

constexpr std::string_view kNoDsq = "no DSQ";

std::string of_cpu(std::string_view what, uint64_t cpu) {
  return std::string(what) + " of CPU " + std::to_string(cpu);
}

}  // namespace

std::string exit_kind_name(uint64_t kind) {
  for (const ExitKind& known : kExitKinds)
    if (known.kind == kind) return std::string(known.reason);
  return "exit kind " + std::to_string(kind);
}

uint64_t exit_kind_of(std::string_view reason) {
  for (const ExitKind& known : kExitKinds)
    if (known.reason == reason) return known.kind;
  return 0;
}

std::string exit_reason_of(std::string_view beginning) {
  while (beginning.ends_with('>') || beginning.ends_with('.')) beginning.remove_suffix(1);
  std::string_view found;
  for (const ExitKind& known : kExitKinds) {
    if (beginning.empty() || !known.reason.starts_with(beginning)) continue;
    if (!found.empty()) return {};
    found = known.reason;
  }
  return std::string(found);
}

std::string dsq_name(uint64_t id) {
  if ((id & kScxDsqLocalOn) == kScxDsqLocalOn) return of_cpu("local DSQ", id & kScxDsqCpuMask);
  switch (id) {
    case kScxDsqInvalid:
      return std::string(kNoDsq);
    case kScxDsqGlobal:
      return "global DSQ";
    case kScxDsqLocal:
      return "local DSQ";
    case kScxDsqBypass:
      return "bypass DSQ";
    default:
      return "DSQ " + hex(id);
  }
}

std::string dsq_name(uint64_t id, DsqKind kind, uint32_t place) {
  if (id == kScxDsqLocal) return of_cpu("local DSQ", place);
  switch (kind) {
    case DsqKind::Global:
      return "global DSQ of node " + std::to_string(place);
    case DsqKind::Bypass:
      return of_cpu("bypass DSQ", place);
    case DsqKind::User:
      break;
  }
  return dsq_name(id);
}

std::string dsq_name(std::string_view id) {
  const auto value = parse_number(id, 0);
  return value ? dsq_name(*value) : "DSQ " + std::string(id);
}

std::string waits_in(std::string_view name) {
  if (name.empty()) name = kNoDsq;
  const bool proper = name == kNoDsq || name.starts_with("DSQ ");
  return (proper ? "in " : "in the ") + std::string(name);
}

std::string stage_name(Stage stage) {
  switch (stage) {
    case Stage::NotStarted:
      return "QEMU started, nothing heard from the kernel";
    case Stage::KernelStarted:
      return "kernel booting";
    case Stage::InitStarted:
      return "init started";
    case Stage::PlanRead:
      return "test plan read";
    case Stage::SchedulerStarted:
      return "scheduler's process started";
    case Stage::ProgramsSeen:
      return "scheduler's programs loaded, about to attach";
    case Stage::SchedulerAttached:
      return "scheduler attached";
    case Stage::WorkloadStarted:
      return "workload running";
    case Stage::WorkloadFinished:
      return "workload finished";
    case Stage::GuestFinished:
      return "guest finished";
  }
  return "stage " + std::to_string(static_cast<int>(stage));
}

std::string vm_name(Vm vm, uint8_t attempt) {
  return vm == Vm::Primary ? "primary VM" : "repro VM " + std::to_string(attempt);
}

}  // namespace ktstr
