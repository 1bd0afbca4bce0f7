// The rate of the host's time stamp counter, which an emulated guest reads as its own.
//
// Without it the guest measures the rate while it boots, and a loaded host makes it measure wrongly: vCPUs that stand still for
// some milliseconds let Linux take 977 MHz for 2595 ("PIT calibration deviates from HPET", arch/x86/kernel/tsc.c). Every second
// of such a guest is 2.6 seconds long, every watchdog and deadline in it comes too early, and a template keeps that for ever.
#pragma once

#include <cstdint>
#include <string>

namespace ktstr {

// kHz. Measured once since this host booted, in 50 ms, and kept in `cache_dir`: the value is a part of the guest's command line, so of
// every template's key. 0: this host has no such counter, or none that runs evenly.
uint32_t host_tsc_khz(const std::string& cache_dir);

// Where this host's counter is read. Two readings of (ns, ticks) give kHz; 0 when they make no sense.
struct TscReading {
  uint64_t ns = 0, ticks = 0;
};
uint32_t tsc_khz_between(const TscReading& first, const TscReading& second);

}  // namespace ktstr
