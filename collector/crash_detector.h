// Decides whether a VM's run had a crash, and collects what is known about it. It takes that VM's events, in
// order, and knows no socket and no clock.
//
// What was said about the scheduler's end comes from ScxWords (scx/scx_words.h), about the kernel's own trouble
// from KernelFaultParser. An orderly unregistration is no crash. A lockup or RCU stall for which the kernel then
// aborted the scheduler is that exit; an oops or panic *before* any exit is the crash itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collector/bpf_line_resolver.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "scx/kernel_fault_parser.h"
#include "scx/scx_words.h"

namespace ktstr {

class CrashDetector {
 public:
  // "kvm", "tcg"; empty: not known. Decides about emulator artifacts.
  void set_accelerator(std::string name) { accelerator_ = std::move(name); }
  void on_event(const EventBuffer& event);
  // After the last event. nullopt: no crash.
  static constexpr size_t kMaxFaults = 16;
  std::optional<CrashDetectedT> result() const;
  // What the kernel said about trouble of its own since the last call, complete messages only; `at_end`: no line
  // follows, so an open one is complete. At most kMaxTold in all.
  std::vector<ReadFault> take_faults(bool at_end = false);
  static constexpr size_t kMaxTold = 64;

 private:
  std::optional<CrashDetectedT> scheduler_exit() const;
  CrashDetectedT kernel_fault(const ReadFault& read, bool after_exit) const;
  bool exit_before(uint64_t guest_ns) const;
  void take_complete();

  std::string accelerator_;
  std::string ops_name_;
  ScxWords words_;
  KernelFaultParser parser_;
  std::vector<ReadFault> faults_;  // crashes among what it read; at most kMaxFaults
  std::vector<ReadFault> untold_;
  size_t told_ = 0;
  BpfLineResolver lines_;
};

}  // namespace ktstr
