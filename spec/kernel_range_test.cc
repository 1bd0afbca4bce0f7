#include "spec/kernel_range.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

bool meets(const char* condition, const char* release) {
  return unmet_kernel_condition({condition}, release).empty();
}

TEST(KernelRange, ComparesAsManyNumbersAsTheConditionNames) {
  for (const char* good :
       {">=6.18", ">6.16", "<=7.3", "=7.3", "7.3", "7", ">=7.3.4", "<7.4", "<7.3.10", "6.16|7.3"})
    EXPECT_TRUE(meets(good, "7.3.4+deb13-cloud-amd64")) << good;
  for (const char* bad : {">=7.4", ">7.3", "<7.3", "<=7.2", "=7.3.5", "6.18", "7.30", ">=7.3.5", "6.16|7.2"})
    EXPECT_FALSE(meets(bad, "7.3.4+deb13-cloud-amd64")) << bad;
  EXPECT_TRUE(meets(">=7.3", "7.3-rc2"));
  EXPECT_TRUE(meets(">=6.18", "6.18"));
}

TEST(KernelRange, AllConditionsMustHold) {
  EXPECT_EQ(unmet_kernel_condition({">=6.18", "<7.3"}, "7.0.1"), "");
  EXPECT_EQ(unmet_kernel_condition({">=6.18", "<7.3"}, "7.3.4"), "<7.3");
  EXPECT_EQ(unmet_kernel_condition({">=6.18", "<7.3"}, "6.16.12"), ">=6.18");
  EXPECT_EQ(unmet_kernel_condition({}, "anything"), "");
}

TEST(KernelRange, WhatIsNoConditionIsRefused) {
  for (const char* bad : {"", ">=", "newest", ">=6.18,", "6.18 7.0", "6.18||7", "~6.18", ">= v6", "6.x"})
    EXPECT_FALSE(check_kernel_condition(bad)) << bad;
  for (const char* good : {">= 6.18", " <7.3 ", "7.0 | 7.3", "6"})
    EXPECT_TRUE(check_kernel_condition(good)) << good;
}

}  // namespace
}  // namespace ktstr
