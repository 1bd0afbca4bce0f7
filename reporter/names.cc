#include "reporter/names.h"

#include <fmt/format.h>
#include <string.h>

#include <charconv>

#include "schemas/guest_generated.h"

namespace ktstr {

std::string dsq_name(const std::string& id) {
  uint64_t value = 0;
  bool hex = id.starts_with("0x");
  const char* begin = id.data() + (hex ? 2 : 0);
  auto [end, error] = std::from_chars(begin, id.data() + id.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != id.data() + id.size()) return "DSQ " + id;
  constexpr uint64_t kBuiltin = 1ull << 63, kLocalOn = 1ull << 62;  // include/linux/sched/ext.h
  if (!(value & kBuiltin)) return fmt::format("DSQ {:#x}", value);
  if (value & kLocalOn) return fmt::format("CPU {}'s local DSQ", value & 0xffffffff);
  switch (value & ~kBuiltin) {
    case 0:
      return "no DSQ (invalid id)";
    case 1:
      return "the global DSQ";
    case 2:
      return "the CPU's local DSQ";
    case 3:
      return "the bypass DSQ";
    default:
      return fmt::format("DSQ {:#x}", value);
  }
}

std::string signal_name(int signo) {
  const char* name = ::sigabbrev_np(signo);
  return name ? std::string("SIG") + name : fmt::format("signal {}", signo);
}

std::string stage_name(Stage stage) {
  switch (stage) {
    case Stage::NotStarted:
      return "nothing heard from the kernel";
    case Stage::KernelStarted:
      return "kernel booting";
    case Stage::InitStarted:
      return "init started";
    case Stage::PlanRead:
      return "test plan read";
    case Stage::SchedulerStarted:
      return "scheduler's process started";
    case Stage::ProgramsSeen:
      return "scheduler's programs loaded, attach caught";
    case Stage::SchedulerAttached:
      return "scheduler attached";
    case Stage::WorkloadStarted:
      return "workload running";
    case Stage::WorkloadFinished:
      return "workload finished";
    case Stage::GuestFinished:
      return "guest finished";
  }
  return fmt::format("stage {}", static_cast<int>(stage));
}

std::string exit_kind_name(uint64_t kind) {
  switch (kind) {
    case 64:
      return "unregistered";
    case 65:
      return "unregistered by BPF";
    case 66:
      return "unregistered by the kernel";
    case 67:
      return "sysrq";
    case 68:
      return "unregistered with its parent";
    case 1024:
      return "runtime error";
    case 1025:
      return "scx_bpf_error";
    case 1026:
      return "runnable task stall";
    default:
      return fmt::format("exit kind {}", kind);
  }
}

}  // namespace ktstr
