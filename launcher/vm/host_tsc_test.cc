#include "launcher/vm/host_tsc.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/small_files.h"
#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

class HostTsc : public testing::Test {
 protected:
  TempDirForTest dir_;
  const std::string folder_ = dir_ / "accelerator";
};

TEST_F(HostTsc, TwoReadingsGiveTheRate) {
  EXPECT_EQ(tsc_khz_between({1'000, 500}, {50'001'000, 129'700'500}), 2'594'000u);
  EXPECT_EQ(tsc_khz_between({1'000, 500}, {1'000, 600}), 0u);
  EXPECT_EQ(tsc_khz_between({1'000, 500}, {2'000, 400}), 0u) << "the counter was reset";
  EXPECT_EQ(tsc_khz_between({0, 0}, {50'000'000, 1'000}), 0u) << "no processor is that slow";
}

TEST_F(HostTsc, IsMeasuredOnceSinceTheHostBooted) {
  const uint32_t first = host_tsc_khz(folder_);
  if (first == 0) GTEST_SKIP() << "this host has no counter that runs evenly";
  EXPECT_EQ(host_tsc_khz(folder_), first);
  auto kept = read_text(folder_ + "/tsc");
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->ends_with(" " + std::to_string(first))) << *kept;
}

TEST_F(HostTsc, WhatAnotherBootOrAnotherHandWroteIsMeasuredAgain) {
  const uint32_t measured = host_tsc_khz("");
  if (measured == 0) GTEST_SKIP() << "this host has no counter that runs evenly";
  auto boot_id = read_text("/proc/sys/kernel/random/boot_id");
  ASSERT_TRUE(boot_id);
  boot_id->resize(36);
  for (const std::string& text :
       {std::string("another-boot 1000000\n"), *boot_id, *boot_id + " ", *boot_id + " 7\n",
        *boot_id + " -3000000\n", *boot_id + " 99999999999999999999\n", std::string()}) {
    dir_.write("accelerator/tsc", text);
    EXPECT_NEAR(host_tsc_khz(folder_), measured, measured / 100) << text;
  }
}

}  // namespace
}  // namespace ktstr
