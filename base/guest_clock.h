// The guest's time: CLOCK_MONOTONIC, which is also the clock of the trace buffer and of BPF.
#pragma once

#include <time.h>

#include <cstdint>

namespace ktstr::guest {

inline constexpr uint64_t kMs = 1'000'000;
inline constexpr uint64_t kSecond = 1'000'000'000;

inline uint64_t clock_ns(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * kSecond + static_cast<uint64_t>(ts.tv_nsec);
}
inline uint64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

}  // namespace ktstr::guest
