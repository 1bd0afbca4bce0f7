#include "launcher/run/deadlines.h"

#include <gtest/gtest.h>

#include "launcher/run/run_facts.h"
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

TEST(VmEnd, AVmThatTheLauncherEndedItselfDidNotDie) {
  for (const bool late : {false, true})
    EXPECT_EQ(
        vm_end({.timed_out = late, .ended_by_us = true, .signal = 9, .last_stage = Stage::WorkloadStarted}),
        VmEnd::Interrupted);
  EXPECT_EQ(vm_end({.last_stage = Stage::WorkloadStarted}), VmEnd::Died);
  EXPECT_EQ(vm_end({.timed_out = true, .signal = 9, .last_stage = Stage::WorkloadStarted}), VmEnd::TimedOut);
  EXPECT_EQ(vm_end({.signal = 11, .last_stage = Stage::WorkloadStarted}), VmEnd::QemuFailed);
}

constexpr uint64_t kTick = 100'000'000;  // ns, as the launcher looks

uint64_t looks(FairWait& wait, uint64_t from, uint64_t ns, bool heard) {
  for (const uint64_t end = from + ns; from < end;) wait.look(from += kTick, heard);
  return from;
}

TEST(FairWait, ALauncherThatStoodStillHoldsItAgainstNobody) {
  FairWait wait;
  wait.begin(kTick);
  uint64_t now = looks(wait, kTick, 59'000'000'000, true);
  EXPECT_EQ(wait.ns(), 59'000'000'000u);
  now += 3'600'000'000'000;  // stopped for an hour
  wait.look(now, true);
  EXPECT_EQ(wait.ns(), 59'000'000'000u) << "what came meanwhile is not read yet";
  now = looks(wait, now, 4'000'000'000, true);
  EXPECT_EQ(wait.ns(), 59'000'000'000u) << "it may still be on its way";
  looks(wait, now, 4'000'000'000, true);
  EXPECT_GT(wait.ns(), 60'000'000'000u) << "then time counts again";
}

TEST(FairWait, AStoppedMessengerExcusesTheGuestButNotForEver) {
  FairWait wait;
  wait.begin(0);
  uint64_t now = looks(wait, 0, 10'000'000'000, false);
  EXPECT_EQ(wait.ns(), 0u);
  wait.next(now);
  now = looks(wait, now, 300'000'000'000, false);
  EXPECT_EQ(wait.ns(), 310'000'000'000u - FairWait::kMostExcused) << "one budget for all stages of a VM";
}

TEST(FairWait, AHostOnWhichEveryLookIsLateStillComesToAnEnd) {
  FairWait wait;
  wait.begin(0);
  for (uint64_t now = 0; now < 600'000'000'000; wait.look(now += 3'000'000'000, true));
  EXPECT_GE(wait.ns(), 100'000'000'000u);
}

TEST(FairWait, TimeInWhichADebuggerHoldsTheGuestIsNeverCountedHoweverLong) {
  FairWait wait;
  wait.begin(0);
  uint64_t now = looks(wait, 0, 10'000'000'000, true);
  for (int i = 0; i < 10'000; ++i) wait.stand(now += 1'000'000'000);
  now = looks(wait, now, 10'000'000'000, true);
  EXPECT_EQ(wait.ns(), 20'000'000'000u);
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
  // Neighbours that the load average has not seen: an emulated VM takes one CPU, a KVM VM one for each of its own.
  EXPECT_EQ(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .jobs = 2}), idle);
  EXPECT_EQ(time_scale({.tcg = true, .vcpus = 4, .host_cpus = 2, .jobs = 6}), 3 * idle);
  EXPECT_EQ(time_scale({.tcg = false, .vcpus = 4, .host_cpus = 8, .jobs = 4}), 2);
}

}  // namespace
}  // namespace ktstr
