#include <gtest/gtest.h>

#include "sdk/body_context.h"

namespace ktstr {
namespace {

class AssertTest : public testing::Test {
 protected:
  AssertTest() : ctx_(std::make_unique<TestContext::Impl>()) {}
  static WorkerResult worker(unsigned index, uint64_t iterations, uint64_t run_ms, uint64_t gap_ms = 1) {
    WorkerResult w;
    w.cgroup = "g";
    w.index = index;
    w.iterations = iterations;
    w.wall_ns = 1'000'000'000;
    w.run_ns = run_ms * 1'000'000;
    w.longest_gap_ns = gap_ms * 1'000'000;
    return w;
  }
  TestContext ctx_;
};

TEST_F(AssertTest, WhatHoldsPasses) {
  auto result =
      Assert::default_checks().max_spread_pct(15).judge(ctx_, {{worker(0, 10, 500), worker(1, 10, 510)}});
  EXPECT_EQ(result.verdict, TestVerdict::kPass) << result.detail;
}

TEST_F(AssertTest, EachViolationSaysObservedAndAllowed) {
  auto result = Assert::default_checks().max_spread_pct(15).judge(
      ctx_, {{worker(0, 0, 100), worker(1, 10, 900, 3000)}});
  EXPECT_EQ(result.verdict, TestVerdict::kFail);
  EXPECT_EQ(ctx_.failed_checks(), 3u);  // starved, gap, spread
  EXPECT_NE(result.detail.find("1 of 2 workers"), std::string::npos) << result.detail;
  EXPECT_NE(result.detail.find("2 more"), std::string::npos) << result.detail;
}

TEST_F(AssertTest, TheGapIsScaledByTheMachinesSpeed) {
  ctx_.impl().time_scale = 4;
  EXPECT_EQ(Assert::NO_OVERRIDES.max_gap_ms(1000).judge(ctx_, {{worker(0, 1, 1, 3000)}}).verdict,
            TestVerdict::kPass);
  EXPECT_EQ(Assert::NO_OVERRIDES.max_gap_ms(1000).judge(ctx_, {{worker(0, 1, 1, 5000)}}).verdict,
            TestVerdict::kFail);
}

TEST_F(AssertTest, WhatWasNotMeasuredIsNoPass) {
  auto verdict = [&](const Assert& wanted, std::vector<WorkerResult> group) {
    const auto result = wanted.judge(ctx_, {std::move(group)});
    EXPECT_EQ(ctx_.failed_checks(), 0u) << result.detail;
    return result.verdict;
  };
  const auto kNone = TestVerdict::kInconclusive;
  const Assert& a = Assert::NO_OVERRIDES;
  EXPECT_EQ(verdict(a.max_p99_wake_latency_ns(1), {worker(0, 10, 500)}), kNone);
  EXPECT_EQ(verdict(a.max_wake_latency_cv(1), {worker(0, 10, 500)}), kNone);
  EXPECT_EQ(verdict(a.max_migration_ratio(1), {worker(0, 0, 500)}), kNone);
  EXPECT_EQ(verdict(a.min_work_rate(1), {worker(0, 10, 500), worker(1, 0, 0)}), kNone);
  EXPECT_EQ(verdict(a.max_throughput_cv(1), {worker(0, 0, 0), worker(1, 0, 0)}), kNone);
  EXPECT_EQ(verdict(a.max_gap_ms(1), {}), kNone);
  WorkerResult no_time = worker(0, 10, 500);
  no_time.wall_ns = 0;
  EXPECT_EQ(verdict(a.min_iteration_rate(1), {no_time}), kNone);
  // A group that never sleeps beside one that does.
  WorkerResult sleeper = worker(0, 10, 500);
  sleeper.wakeups = 3;
  sleeper.wake_p99_ns = 5;
  sleeper.wake_max_ns = 6;
  EXPECT_EQ(a.max_p99_wake_latency_ns(5).judge(ctx_, {{worker(0, 1, 1)}, {sleeper}}).verdict,
            TestVerdict::kPass);
}

TEST_F(AssertTest, AMomentTellsNothingOfFairness) {
  for (uint64_t wall_ms : {500, 1000}) {
    WorkerResult busy = worker(0, 10, wall_ms), idle = worker(1, 10, wall_ms / 2);
    busy.wall_ns = idle.wall_ns = wall_ms * 1'000'000;
    EXPECT_EQ(Assert::NO_OVERRIDES.max_spread_pct(15).judge(ctx_, {{busy, idle}}).verdict,
              wall_ms < 900 ? TestVerdict::kPass : TestVerdict::kFail);
  }
}

TEST_F(AssertTest, APinInABodyIsRefusedAndNotPassedOver) {
  auto result = Assert::NO_OVERRIDES.expect_scx_bpf_error_contains("x").judge(ctx_, {});
  EXPECT_EQ(result.verdict, TestVerdict::kFail);
  EXPECT_EQ(ctx_.failed_checks(), 1u);
}

TEST_F(AssertTest, NoOverridesStaysEmpty) {
  (void)Assert::NO_OVERRIDES.max_gap_ms(1);
  EXPECT_TRUE(Assert::NO_OVERRIDES.values().empty());
}

}  // namespace
}  // namespace ktstr
