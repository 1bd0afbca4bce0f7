// The threads of the scheduler's own process: what they sleep in, since when, and from which system call. Tasks may wait for a
// decision of that process.
#pragma once

#include <cstdint>
#include <vector>

#include "monitor/guest_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct ThreadCapture {
  FrozenThreadT fact;               // no stack and no wait channel yet
  std::vector<uint64_t> addresses;  // that may be return addresses on its kernel stack, innermost first
};

// While the VM is paused. Threads of process `pid` and of its children; `now_ns`: the newest run queue clock.
std::vector<ThreadCapture> capture_threads(const GuestKernel& kernel, int pid, uint64_t now_ns);

// When the guest runs again: names what was found.
std::vector<std::unique_ptr<FrozenThreadT>> name_threads(const GuestKernel& kernel,
                                                         std::vector<ThreadCapture> threads);

}  // namespace ktstr
