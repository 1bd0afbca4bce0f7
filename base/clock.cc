#include "base/clock.h"

#include <time.h>

namespace ktstr {
namespace {

uint64_t now_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

uint64_t SystemClock::monotonic_ns() const { return now_ns(CLOCK_MONOTONIC); }
uint64_t SystemClock::realtime_ns() const { return now_ns(CLOCK_REALTIME); }

}  // namespace ktstr
