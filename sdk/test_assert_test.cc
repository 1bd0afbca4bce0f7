#include <gtest/gtest.h>

#include "sdk/test_context_impl.h"

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
  auto result = Assert::default_checks().judge(ctx_, {{worker(0, 10, 500), worker(1, 10, 510)}});
  EXPECT_EQ(result.verdict, TestVerdict::kPass) << result.detail;
}

TEST_F(AssertTest, EachViolationSaysObservedAndAllowed) {
  auto result = Assert::default_checks().judge(ctx_, {{worker(0, 0, 100), worker(1, 10, 900, 3000)}});
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
