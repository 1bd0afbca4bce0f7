// The instructions of the scheduler's programs: which ways through a callback do nothing with its task (bpf/program_ways.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/program_ways.h"
#include "monitor/guest_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct ProgramCapture {
  uint32_t id = 0;
  ProgramCode code;
};

// While the VM is paused. Programs of sched_ext's struct_ops; those that are too large, or not readable, are left out.
std::vector<ProgramCapture> capture_programs(const GuestKernel& kernel);

// When the guest runs again.
std::vector<std::unique_ptr<FrozenProgramT>> judge_programs(const GuestKernel& kernel,
                                                            std::vector<ProgramCapture> programs);

}  // namespace ktstr
