#include "guest/init/vcpu_switcher.h"

#include <sys/io.h>

#include "schemas/common_generated.h"
#include "schemas/gate_ports.h"

namespace ktstr::guest {
namespace {

// Where the seed asks for nothing. Without it a turn lasts until some timer expires: 8 vCPUs that compute then waited up to 196 ms
// for their turn (docs/determinism.md).
constexpr uint32_t kPlainTurnNs = 200'000;

void turns_of(uint32_t ns) {
  for (unsigned i = 0; i < kTurnMessage; ++i) ::outb(static_cast<uint8_t>(ns >> (8 * i)), kTurnPort);
}

}  // namespace

bool VcpuSwitcher::start(const DeterminismT& determinism) {
  if (::ioperm(kTurnPort, 1, 1) != 0) return false;
  turns_of(kPlainTurnNs);
  switch_ns_ = determinism.switch_ns;
  parts_ = determinism.windows;
  window_ns_ = determinism.window_ns;
  return true;
}

void VcpuSwitcher::workload_started(uint64_t now_ns, uint64_t duration_ns) {
  for (uint16_t part : parts_) windows_.push_back(now_ns + duration_ns / 1000 * part);
  if (switch_ns_ != 0) turns_of(switch_ns_);
}

void VcpuSwitcher::workload_finished() {
  if (switch_ns_ != 0 || in_window_) turns_of(kPlainTurnNs);
  switch_ns_ = 0;
  in_window_ = false;
  windows_.clear();
}

void VcpuSwitcher::tick(uint64_t now_ns) {
  if (windows_.empty() && !in_window_) return;
  const bool begins = !windows_.empty() && windows_.front() <= now_ns;
  if (begins) windows_.erase(windows_.begin());
  // A window lasts until the next tick.
  if (begins != in_window_) turns_of(begins ? window_ns_ : kPlainTurnNs);
  in_window_ = begins;
}

}  // namespace ktstr::guest
