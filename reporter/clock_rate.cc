#include "reporter/clock_rate.h"

namespace ktstr {
namespace {

constexpr double kFast = 1.5;
// An idle guest's clock stands until it wakes up: the first sample may show one that is so old.
constexpr uint64_t kLag = 2'000'000'000;

}  // namespace

void ClockRate::at(uint64_t guest_ns, uint64_t host_ns) {
  if (guest_ns == 0) return;
  if (!first_) first_ = Reading{guest_ns, host_ns};
  last_ = {guest_ns, host_ns};
}

std::optional<double> ClockRate::too_fast() const {
  if (!first_ || last_.host_ns <= first_->host_ns || last_.guest_ns <= first_->guest_ns) return std::nullopt;
  const auto guest = static_cast<double>(last_.guest_ns - first_->guest_ns);
  const auto host = static_cast<double>(last_.host_ns - first_->host_ns);
  if (guest < kFast * host + kLag) return std::nullopt;
  return guest / host;
}

}  // namespace ktstr
