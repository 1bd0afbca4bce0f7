#include "launcher/run/deadlines.h"

#include <algorithm>

#include "base/clock.h"
#include "schemas/guest_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// A body may take longer than the duration, and a payload with a time-out is waited for; the guest ends both.
uint64_t workload_ns(const TestSpecT& spec) {
  uint64_t longest = spec.body.empty() ? 0 : 60 * kSecond;
  for (const auto& payload : spec.payloads) longest = std::max(longest, payload->timeout_ns);
  return spec.duration_ns + longest;
}

}  // namespace

Deadline deadline_after(Stage stage, const TestSpecT& spec, const DeadlineOptions& options) {
  auto scaled = [&](const char* name, uint64_t ns) {
    return Deadline{name, static_cast<uint64_t>(static_cast<double>(ns) * options.time_scale)};
  };
  switch (stage) {
    case Stage::NotStarted:
    case Stage::KernelStarted:
      return scaled("boot", options.boot_ns);
    case Stage::InitStarted:
    case Stage::PlanRead:
      // The guest itself gives its probe 60 s (guest_run.cc), then goes on without: that must come first.
      return scaled("guest set-up", 120 * kSecond);
    case Stage::SchedulerStarted:
    case Stage::ProgramsSeen:
      // The guest gives up after attach_timeout_ns and says why; this one is for a guest that cannot.
      return scaled("scheduler attach", spec.attach_timeout_ns + 60 * kSecond);
    case Stage::SchedulerAttached:
      return scaled("workload start", 60 * kSecond);
    case Stage::WorkloadStarted:
      return scaled("workload", workload_ns(spec) + 60 * kSecond);
    case Stage::WorkloadFinished:
    case Stage::GuestFinished:
      return scaled("shutdown", 60 * kSecond);
  }
  return scaled("stage", 60 * kSecond);
}

void FairWait::look(uint64_t now_ns, bool heard) {
  const uint64_t gap = now_ns - last_ns_;
  last_ns_ = now_ns;
  uint64_t counts = std::min(gap, kLongestLook);
  if (gap > kLongestLook || !heard) catch_up_until_ns_ = now_ns + kCatchUp;
  if (now_ns < catch_up_until_ns_) {
    const uint64_t excused = std::min(counts, excuses_ns_);
    excuses_ns_ -= excused;
    counts -= excused;
  }
  counted_ns_ += counts;
}

double time_scale(const HostSpeed& speed) {
  double scale = 1;
  if (speed.tcg) scale *= 1 + static_cast<double>(speed.vcpus) / 16;
  const double cpus = std::max(1u, speed.host_cpus);
  const double by_load = speed.load_1min / cpus;
  const double by_speed = speed.speed > 0 ? 1 / speed.speed : 1;
  // Our own neighbours start after the load was read and the speed was measured.
  const double by_jobs = std::max(1u, speed.jobs) * (speed.tcg ? 1.0 : std::max(1u, speed.vcpus)) / cpus;
  scale *= std::clamp(std::max({by_load, by_speed, speed.jobs > 1 ? by_jobs * std::max(1.0, by_speed) : 1.0}),
                      1.0, 8.0);
  return scale;
}

}  // namespace ktstr
