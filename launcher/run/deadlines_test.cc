#include "launcher/run/deadlines.h"

#include <gtest/gtest.h>

#include "schemas/guest_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

TEST(Deadlines, EveryStageHasOneAndTheWorkloadsHoldsItsDuration) {
  TestSpecT spec;
  spec.duration_ns = 300'000'000'000u;
  for (int s = 0; s <= static_cast<int>(Stage::GuestFinished); ++s) {
    Deadline d = deadline_after(static_cast<Stage>(s), spec, {});
    EXPECT_FALSE(d.name.empty());
    EXPECT_GT(d.limit_ns, 0u);
  }
  EXPECT_GT(deadline_after(Stage::WorkloadStarted, spec, {}).limit_ns, spec.duration_ns);
  // A payload with a time-out may be started at the very end.
  spec.payloads.push_back(std::make_unique<PayloadSpecT>());
  spec.payloads[0]->timeout_ns = 500'000'000'000u;
  EXPECT_GT(deadline_after(Stage::WorkloadStarted, spec, {}).limit_ns, 800'000'000'000u);
  EXPECT_EQ(deadline_after(Stage::NotStarted, spec, {.time_scale = 3, .boot_ns = 7}).limit_ns, 21u);
}

TEST(TimeScale, GrowsWithVcpusUnderEmulationAndWithLoadButNotWithoutBound) {
  EXPECT_EQ(time_scale({.tcg = false, .vcpus = 64, .host_cpus = 8}), 1);
  EXPECT_GT(time_scale({.tcg = true, .vcpus = 64}), time_scale({.tcg = true, .vcpus = 4}));
  double idle = time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .load_1min = 0.5});
  EXPECT_GT(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .load_1min = 8}), idle);
  EXPECT_LE(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .load_1min = 1e9}), 8 * idle);
  // What was measured counts as well; a fast host is no reason to hurry.
  EXPECT_EQ(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .speed = 0.5}), 2 * idle);
  EXPECT_EQ(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .speed = 10}), idle);
  EXPECT_LE(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .speed = 1e-9}), 8 * idle);
}

}  // namespace
}  // namespace ktstr
