#include "reporter/stall_watch.h"

#include <gtest/gtest.h>

#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

struct Step {
  int waiter = 0;
  uint64_t wait_ms = 0;
  SchedClass runs = SchedClass::Ext;
  uint64_t host_wait_ms = 0;
};

StallWatch watch(const std::vector<Step>& steps) {
  StallWatch w;
  uint64_t ms = 0;
  for (const Step& step : steps) {
    MonitorSampleT s;
    auto cpu = std::make_unique<CpuSampleT>();
    cpu->cpu = 3;
    if (step.runs != SchedClass::Idle) {
      cpu->curr = std::make_unique<TaskSeenT>();
      cpu->curr->pid = 9;
      cpu->curr->comm = "hog";
      cpu->curr->sched_class = step.runs;
    }
    if (step.waiter) {
      cpu->longest_waiting = std::make_unique<TaskSeenT>();
      cpu->longest_waiting->pid = step.waiter;
      cpu->longest_waiting->comm = "pipe_7";
      cpu->longest_waiting->wait_ns = step.wait_ms * 1'000'000;
    }
    s.cpus.push_back(std::move(cpu));
    s.vcpus.push_back(std::make_unique<VcpuThreadT>());
    s.vcpus.back()->wait_ns = step.host_wait_ms * 1'000'000;
    EventBuffer event = make_event(EventHead{.run_id = "r", .source = "monitor"}, std::move(s));
    w.fold(*event.as<MonitorSample>(), (ms += 100) * 1'000'000);
  }
  return w;
}

TEST(StallWatch, TheSchedulerLetsItWait) {
  auto wait = watch({{}, {125, 50}, {125, 150}, {125, 250}, {7, 10}}).find(125);
  ASSERT_TRUE(wait);
  EXPECT_EQ(250'000'000u, wait->wait_ns);
  EXPECT_EQ(3u, wait->samples);
  EXPECT_EQ(3u, wait->ran_ext);
  EXPECT_EQ(3u, wait->cpu);
}

TEST(StallWatch, ATaskThatWaitedAsLongAsTheOneBeforeHasItsSamples) {
  auto wait = watch({{125, 50}, {125, 150}, {126, 250}, {125, 350}}).find(126);
  ASSERT_TRUE(wait);
  EXPECT_EQ(3u, wait->samples);
  wait = watch({{125, 50}, {125, 150}, {126, 250}, {125, 350}}).find(125);
  EXPECT_EQ(4u, wait->samples);
  EXPECT_EQ(350'000'000u, wait->wait_ns);
  EXPECT_EQ(1u, watch({{125, 50}, {125, 150}, {126, 20}}).find(126)->samples) << "it began to wait only now";
}

TEST(StallWatch, ARealTimeTaskHadTheCpu) {
  auto wait =
      watch({{125, 50, SchedClass::RealTime}, {125, 150, SchedClass::RealTime}, {125, 250}}).find(125);
  ASSERT_TRUE(wait);
  EXPECT_EQ(2u, wait->ran_rt);
  EXPECT_EQ("hog", wait->rt_comm);
}

TEST(StallWatch, TheHostDidNotRunTheGuest) {
  auto wait = watch({{125, 50, SchedClass::Ext, 10},
                     {125, 150, SchedClass::Ext, 100},
                     {125, 250, SchedClass::Ext, 190}})
                  .find(0);
  ASSERT_TRUE(wait);
  EXPECT_EQ(180'000'000u, wait->host_wait_ns);
}

TEST(StallWatch, AHostThatRanNothingStarvedEverybody) {
  std::vector<Step> busy, loaded, idle;
  for (uint64_t i = 0; i < 21; ++i) {
    busy.push_back({125, 50 + i * 100, SchedClass::Ext, i * 84});
    loaded.push_back({125, 50 + i * 100, SchedClass::Ext, i * 60});
    idle.push_back({125, 50 + i * 100, SchedClass::Idle, i * 84});
  }
  EXPECT_TRUE(watch(busy).find(125)->host_starved());
  EXPECT_EQ("the host ran the guest's CPUs for 320.0 ms of 2.000 s", watch(busy).find(125)->host_words());
  EXPECT_FALSE(watch(loaded).find(125)->host_starved()) << "it was run for 40 % of the time";
  EXPECT_FALSE(watch(idle).find(125)->host_starved()) << "an idle CPU is the guest's own decision";
}

// As with scx_cosmos on 6.18: of several that waited equally long another one was shown before.
TEST(StallWatch, TheLastHalfSecondOfALongWaitIsNoProofAgainstTheHost) {
  std::vector<Step> late;
  for (uint64_t i = 0; i < 6; ++i) late.push_back({125, 6'400 + i * 100, SchedClass::Ext, i * 84});
  const auto wait = watch(late).find(125);
  ASSERT_TRUE(wait);
  EXPECT_EQ(6'900'000'000u, wait->wait_ns);
  EXPECT_FALSE(wait->host_starved());
}

TEST(StallWatch, AWaitThatEndedIsNotContinued) {
  auto wait = watch({{125, 500}, {125, 20}, {125, 120}}).find(125);
  ASSERT_TRUE(wait);
  EXPECT_EQ(500'000'000u, wait->wait_ns);
  EXPECT_EQ(1u, wait->samples);
  EXPECT_FALSE(watch({{}, {}}).find(0));
}

}  // namespace
}  // namespace ktstr
