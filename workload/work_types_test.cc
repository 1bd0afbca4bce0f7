#include "workload/work_types.h"

#include <gtest/gtest.h>

#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

TEST(WorkTypes, EveryTypeHasOneRow) {
  for (WorkType type : EnumValuesWorkType()) {
    const auto rows = std::count_if(work_types().begin(), work_types().end(),
                                    [&](const WorkInfo& info) { return info.type == type; });
    EXPECT_EQ(rows, 1) << EnumNameWorkType(type);
    EXPECT_EQ(work_info(type).type, type);
  }
}

TEST(WorkTypes, WhatATypeDoesNotTakeIsZero) {
  CgroupSpecT group;
  group.work = WorkType::PageFaultChurn;
  group.stride = 7;
  set_work_defaults(group);
  EXPECT_EQ(group.size_kb, 4096u);
  EXPECT_EQ(group.spin_iters, 64u);
  EXPECT_EQ(group.touches, 256u);
  EXPECT_EQ(group.stride, 0u);
  group.work = WorkType::CachePressure;
  set_work_defaults(group);
  EXPECT_EQ(group.size_kb, 32u);
  EXPECT_EQ(group.stride, 64u);
  EXPECT_EQ(group.touches, 0u);
}

TEST(WorkTypes, WorkersBelongTogether) {
  CgroupSpecT group;
  group.fan_out = 4;
  group.contenders = 3;
  auto size = [&](WorkType work) {
    group.work = work;
    return group_size(group);
  };
  EXPECT_EQ(size(WorkType::CpuSpin), 1u);
  EXPECT_EQ(size(WorkType::CachePipe), 2u);
  EXPECT_EQ(size(WorkType::FanOutCompute), 5u);
  EXPECT_EQ(size(WorkType::MutexContention), 3u);
  EXPECT_TRUE(is_messenger(WorkType::FutexFanOut, 0));
  EXPECT_FALSE(is_messenger(WorkType::FutexFanOut, 1));
  EXPECT_FALSE(is_messenger(WorkType::MutexContention, 0));
}

TEST(WorkTypes, TheManualSaysEachDefaultOnce) {
  EXPECT_EQ(work_default_text("size_kb"), "32; PageFaultChurn 4096");
  EXPECT_EQ(work_default_text("burst_ms"), "5");
  EXPECT_EQ(work_default_text("policy"), "");
}

}  // namespace
}  // namespace ktstr
