// A callback whose calls are long enough to be the cause of what else is seen: mean time of a call, and its share of all CPUs'
// time while the scheduler was enabled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reporter/vm_record.h"

namespace ktstr {

struct SlowCallback {
  std::string name;    // "scan_dispatch"
  std::string member;  // "dispatch"; empty: not known
  uint64_t calls = 0, mean_ns = 0;
  double share = 0;  // of all CPUs' time, 0 to 1
};

// The one with the greatest share, if a call takes 1 ms or more and all of them 20 % of the time.
std::optional<SlowCallback> slow_callback(const VmRecord& vm);

// "ops.dispatch (scan_dispatch) took 61.6 ms a call: 852 calls, 80 % of all CPUs' time"
std::string slow_words(const SlowCallback& slow);

}  // namespace ktstr
