// Finds the kernel's own failures on the console: an oops, a panic, a lockup, an RCU
// stall, a hung task, with the task, the CPU and the call trace that follow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"

namespace ktstr {

struct KernelFault {
  CrashKind kind = CrashKind::KernelOops;
  std::string reason;   // "Oops", "kernel panic", "soft lockup", "RCU stall", …
  std::string message;  // the kernel's line
  std::string comm;
  int pid = 0;
  int cpu = -1;
  uint64_t guest_ns = 0;
  bool int3 = false;  // "Oops: int3"
  bool jump_to_null = false;
  std::vector<ChainFrameT> backtrace;  // RIP first
};

class KernelFaultParser {
 public:
  // `text`: a console line less its stamp.
  void feed(std::string_view text, uint64_t guest_ns);
  // In the order in which the kernel told them. A panic that follows from an oops is part of that oops.
  const std::vector<KernelFault>& faults() const { return faults_; }

 private:
  bool take_start(std::string_view text, uint64_t guest_ns);
  void take_detail(std::string_view text);
  void take_trace(std::string_view text);

  std::vector<KernelFault> faults_;
  bool open_ = false;      // details of the last fault may come
  bool in_trace_ = false;  // inside "Call Trace:"
  bool traced_ = false;    // its trace is complete
};

// Why this fault looks like the emulator's doing; empty when it does not. Under software emulation kernel
// text that is patched while it runs makes a guest oops spontaneously (an int3 that nobody placed, a jump to
// address 0).
std::string emulator_artefact(const KernelFault& fault, std::string_view accelerator, bool after_scx_exit);

}  // namespace ktstr
