// Reads the scheduler's exit kind every millisecond, between samples.
#pragma once

#include <cstdint>
#include <optional>

#include "monitor/walkers.h"

namespace ktstr {

struct Death {
  ScxRoot root;
  uint64_t exit_kind = 0;
};

class DeathWatch {
 public:
  explicit DeathWatch(const GuestKernel& kernel) : kernel_(kernel) {}
  // A value once per scheduler instance, as soon as its exit kind is set. Two reads of guest memory.
  std::optional<Death> look();
  // The scheduler as it was last seen alive; address 0: never.
  const ScxRoot& alive() const { return alive_; }

 private:
  const GuestKernel& kernel_;
  ScxRoot alive_, told_;
};

}  // namespace ktstr
