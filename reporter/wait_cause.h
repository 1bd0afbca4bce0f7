// Why a task was not run: what the dump, the frozen guest and the monitor's samples say together. A class is named only
// on evidence, which is part of the answer; without it the facts stand alone.
#pragma once

#include <string>
#include <vector>

#include "explain/stall_class.h"
#include "reporter/vm_record.h"

namespace ktstr {

struct WaitCause {
  StallClass what = StallClass::kUnknown;
  std::string summary;                // a clause: "it waits in DSQ 0x202, and CPU 1 took nothing from it"
  std::vector<std::string> evidence;  // lines
  std::string advice;                 // what usually mends it; empty: nothing is known
};

// REQUIRES: `pid` > 0.
WaitCause explain_wait(const VmRecord& vm, int pid);

}  // namespace ktstr
