// `ktstr-monitor --ram FILE`: what the monitor sees in the RAM file of any QEMU guest, as text. For people,
// and for tests that compare it with the guest's own view.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace ktstr {

struct InspectOptions {
  std::string path;
  uint64_t samples = 1;
  uint64_t period_ns = 100'000'000;
};
// Prints to stdout. 0; 1 when it cannot attach (the reason on stderr).
int inspect_ram(const InspectOptions& options, const Clock& clock);

}  // namespace ktstr
