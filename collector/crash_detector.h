// Decides whether a VM's run had a crash, and collects what is known about it. It takes that VM's events, in
// order, and knows no socket and no clock.
//
// Sources, best first: the sched_ext dump of the trace buffer, the console, the scheduler's own output. What
// one does not say is taken from the next. An orderly unregistration is not a crash. If the kernel disabled the
// scheduler because of a lockup or RCU stall, the crash is that exit. An oops or panic *before* any exit is the
// crash.
#pragma once

#include <optional>
#include <string>

#include "collector/bpf_line_resolver.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "scx/kernel_fault_parser.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {

class CrashDetector {
 public:
  // "kvm", "tcg"; empty: not known. Decides about emulator artefacts.
  void set_accelerator(std::string name) { accelerator_ = std::move(name); }
  void on_event(const EventBuffer& event);
  // After the last event. nullopt: no crash.
  std::optional<CrashDetectedT> result() const;

 private:
  std::optional<CrashDetectedT> scheduler_exit() const;
  CrashDetectedT kernel_fault(const KernelFault& fault, bool after_exit) const;
  bool exit_before(const KernelFault& fault) const;

  std::string accelerator_;
  std::string ops_name_;
  ScxDumpParser dump_;
  ScxDumpParser scheduler_out_, scheduler_err_;
  ScxConsoleParser console_;
  KernelFaultParser faults_;
  BpfLineResolver lines_;
};

}  // namespace ktstr
