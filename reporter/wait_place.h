// Which task the kernel named, and where it waited, decided once for every line of a report that says so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reporter/vm_record.h"

namespace ktstr {

// The task that was not run, for a stall; else the one that triggered the exit. 0: none is known.
int named_pid(const VmRecord& vm);

// "in DSQ 0x100", "in no DSQ". REQUIRES: a sample, the dump or the frozen guest shows the task waiting; else
// "in no DSQ".
//
// The dump is asked first: the kernel writes it before it moves a task. Then the guest as it was frozen
// early and at the exit, then
// the monitor's samples. When the kernel aborts a scheduler it moves what waits to its bypass DSQ: that is not
// where the scheduler let the task wait, so it is only added: "in no DSQ (at the abort the kernel moved it to
// the bypass DSQ of CPU 2)".
std::string wait_place(const VmRecord& vm, int pid);

// The same as an id, which may be 0; nullopt: in no DSQ, nothing saw it, or only in the bypass DSQ.
std::optional<uint64_t> wait_dsq(const VmRecord& vm, int pid);

// The CPUs on which the task may run, as the frozen guest or the dump says; empty: not known.
std::vector<unsigned> allowed_cpus(const VmRecord& vm, int pid);

}  // namespace ktstr
