// Why a task was not run: what the dump, the frozen guest and the monitor's samples say together. A class is named only
// on evidence, which is part of the answer; without it the facts stand alone.
#pragma once

#include <string>
#include <vector>

#include "reporter/vm_record.h"

namespace ktstr {

enum class WaitClass {
  kUnknown,               // the facts name none
  kDsqNotConsumed,        // it waits in a DSQ that no CPU on which it may run takes from
  kNotKicked,             // an idle CPU could run it and never looked: it was not kicked
  kHeldByScheduler,       // enqueued, and in no DSQ
  kDispatchMovesNothing,  // ops.dispatch is called and moves nothing
  kStarvedInOrder,        // others of its DSQ always come first
  kRealTime,              // real-time or deadline tasks have the CPU
  kTimerStopped,          // a BPF timer of the scheduler stopped just before
  kBypass,                // the kernel's bypass mode
  kHost,                  // the host did not run the guest's CPUs
};

struct WaitCause {
  WaitClass what = WaitClass::kUnknown;
  std::string summary;                // a clause: "it waits in DSQ 0x202, and CPU 1 took nothing from it"
  std::vector<std::string> evidence;  // lines
};

// REQUIRES: `pid` > 0.
WaitCause explain_wait(const VmRecord& vm, int pid);

}  // namespace ktstr
