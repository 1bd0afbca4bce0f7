// Time, injected. Everything that shows in a report comes from event stamps, never from here.
#pragma once

#include <cstdint>

namespace ktstr {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_ns() const = 0;  // CLOCK_MONOTONIC
  virtual uint64_t realtime_ns() const = 0;   // CLOCK_REALTIME
};

class SystemClock : public Clock {
 public:
  uint64_t monotonic_ns() const override;
  uint64_t realtime_ns() const override;
};

}  // namespace ktstr
