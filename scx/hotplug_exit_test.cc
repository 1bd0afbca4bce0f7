#include "scx/hotplug_exit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(HotplugExitTest, TheKernelsMessageNamesTheCpuAndTheWay) {
  const auto gone = parse_hotplug_exit("cpu 3 going offline, exiting scheduler");
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->cpu, 3u);
  EXPECT_FALSE(gone->online);
  EXPECT_THAT(hotplug_words(*gone), ::testing::HasSubstr("no ops.cpu_offline"));
  const auto back = parse_hotplug_exit("cpu 127 going online, exiting scheduler");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->cpu, 127u);
  EXPECT_TRUE(back->online);
  EXPECT_THAT(hotplug_words(*back), ::testing::HasSubstr("no ops.cpu_online:"));
}

TEST(HotplugExitTest, OtherMessagesAreNone) {
  for (const char* text : {"", "cpu 3", "cpu x going offline, exiting scheduler", "cpu 3 going home",
                           "cpu 3 going offline", "going offline, exiting scheduler", "cpu 3 going "})
    EXPECT_FALSE(parse_hotplug_exit(text)) << text;
}

}  // namespace
}  // namespace ktstr
