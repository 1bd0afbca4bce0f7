// How fast this host runs a guest CPU now: a machine of 64 KiB of ROM counts down under the real QEMU and
// accelerator.
//
// Neither the host's clock rate nor its load average tells that: emulation, a busy neighbour and a throttled
// CPU all show here, in less than 0.1 s.
#pragma once

#include <string>

#include "base/result.h"

namespace ktstr {

struct HostSpeedRequest {
  std::string qemu;
  std::string accelerator;  // "kvm", "tcg"
  std::string folder;       // for the ROM's file, removed again
};

struct HostSpeedFact {
  double speed = 0;  // against the machine that the deadlines were made for: 0.5 is half as fast
  std::string note;  // "60 M rounds of a guest's loop took 64 ms"
};

// Errors: QEMU does not start, or the loop did not end in 20 s. Nothing depends on it but deadlines.
Result<HostSpeedFact> measure_host_speed(const HostSpeedRequest& request);

// The ROM: 64 KiB of real-mode code that says 'A' on port 0xe9, counts `rounds` down, says 'B', and ends
// QEMU.
std::string speed_rom(uint32_t rounds);

}  // namespace ktstr
