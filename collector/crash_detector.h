// Decides whether a VM's run held a crash, and gathers what was said about it. Pure: fed with that VM's
// events, in order; knows no socket and no clock.
//
// Sources, best first: the sched_ext dump of the trace buffer, the console, the scheduler's own output. What
// one does not tell is taken from the next. An orderly unregistration is no crash. A lockup or RCU stall for
// which the kernel then threw the scheduler out is that exit; an oops or panic *before* any exit is the crash
// itself.
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
