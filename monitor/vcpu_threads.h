// QEMU's vCPU threads in the host's /proc: how long each ran, and how long it waited for a host CPU.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schemas/monitor_generated.h"

namespace ktstr {

// Threads named "CPU …" or "ALL CPUs…" (QEMU's debug-threads=on). Without such names: the whole process's
// threads are not told apart, and the result is empty. `proc` is "/proc", for tests.
std::vector<VcpuThreadT> read_vcpu_threads(uint32_t pid, const std::string& proc = "/proc");

}  // namespace ktstr
