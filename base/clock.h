// Time. The host's processes take an injected Clock (what shows in a report comes from event stamps, never from here);
// what runs in the VM calls now_ns(): CLOCK_MONOTONIC is also the clock of the trace buffer and of BPF.
#pragma once

#include <time.h>

#include <cstdint>

namespace ktstr {

inline constexpr uint64_t kMs = 1'000'000;
inline constexpr uint64_t kSecond = 1'000'000'000;

inline uint64_t clock_ns(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * kSecond + static_cast<uint64_t>(ts.tv_nsec);
}
inline uint64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_ns() const = 0;  // CLOCK_MONOTONIC
  virtual uint64_t realtime_ns() const = 0;   // CLOCK_REALTIME
};

class SystemClock : public Clock {
 public:
  uint64_t monotonic_ns() const override { return clock_ns(CLOCK_MONOTONIC); }
  uint64_t realtime_ns() const override { return clock_ns(CLOCK_REALTIME); }
};

}  // namespace ktstr
