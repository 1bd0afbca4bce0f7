#include "guest/init/vcpu_switcher.h"

#include <sys/io.h>

#include <algorithm>

#include "schemas/common_generated.h"

namespace ktstr::guest {
namespace {

constexpr uint16_t kPitCounter = 0x40, kPitControl = 0x43;
constexpr uint8_t kRateGenerator = 0x34, kOneShot = 0x30;  // counter 0, low byte then high byte
constexpr uint64_t kPitHz = 1'193'182;
constexpr uint32_t kTicksPerSecond = 40;  // of init
constexpr uint64_t kTickNs = 25'000'000;

void program(uint8_t mode, uint64_t ns) {
  const auto count = static_cast<uint16_t>(std::clamp<uint64_t>(ns * kPitHz / 1'000'000'000, 2, 0xffff));
  ::outb(mode, kPitControl);
  ::outb(static_cast<uint8_t>(count), kPitCounter);
  ::outb(static_cast<uint8_t>(count >> 8), kPitCounter);
}

}  // namespace

bool VcpuSwitcher::start(const DeterminismT& determinism) {
  if (determinism.switch_ns == 0 && determinism.switch_points == 0 && determinism.windows.empty())
    return true;
  if (::ioperm(kPitCounter, 4, 1) != 0) return false;
  random_.seed(static_cast<uint32_t>(determinism.seed ^ determinism.seed >> 32));
  if (determinism.switch_ns != 0)
    program(kRateGenerator, determinism.switch_ns);
  else
    points_ = determinism.switch_points;
  parts_ = determinism.windows;
  window_ns_ = determinism.window_ns;
  return true;
}

void VcpuSwitcher::workload_started(uint64_t now_ns, uint64_t duration_ns) {
  for (uint16_t part : parts_) windows_.push_back(now_ns + duration_ns / 1000 * part);
}

void VcpuSwitcher::tick(uint64_t now_ns) {
  if (!windows_.empty() || in_window_) {
    const bool begins = !windows_.empty() && windows_.front() <= now_ns;
    if (begins) windows_.erase(windows_.begin());
    // A window lasts until the next tick; a last one-shot ends the periodic mode.
    if (begins)
      program(kRateGenerator, window_ns_);
    else if (in_window_)
      program(kOneShot, kTickNs);
    in_window_ = begins;
    return;
  }
  if (points_ == 0 || random_() % kTicksPerSecond >= points_) return;
  program(kOneShot, random_() % kTickNs);
}

}  // namespace ktstr::guest
