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
  if (determinism.switch_ns == 0 && determinism.switch_points == 0) return true;
  if (::ioperm(kPitCounter, 4, 1) != 0) return false;
  random_.seed(static_cast<uint32_t>(determinism.seed ^ determinism.seed >> 32));
  if (determinism.switch_ns != 0)
    program(kRateGenerator, determinism.switch_ns);
  else
    points_ = determinism.switch_points;
  return true;
}

void VcpuSwitcher::tick() {
  if (points_ == 0 || random_() % kTicksPerSecond >= points_) return;
  program(kOneShot, random_() % kTickNs);
}

}  // namespace ktstr::guest
