#include "guest/init/cpu_hotplug.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/small_files.h"
#include "base/testing/temp_dir.h"

namespace ktstr::guest {
namespace {

using ::testing::HasSubstr;

class CpuHotplugTest : public ::testing::Test {
 protected:
  void cpu(unsigned number, const char* state) {
    folder_.write("cpu" + std::to_string(number) + "/online", state);
  }
  std::string state(unsigned number) {
    return read_text_or(folder_ / ("cpu" + std::to_string(number) + "/online"), "none");
  }
  Status set(std::vector<unsigned> cpus, bool online) {
    loop_.every(kMs, [this] {
      int status = 0;
      pid_t pid = 0;
      while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) EXPECT_TRUE(hotplug_.on_end(pid, status));
    });
    return hotplug_.set(std::move(cpus), online, 10 * kSecond);
  }

  TempDirForTest folder_;
  EventLoop loop_;
  CpuHotplug hotplug_{loop_, folder_ / ""};
};

TEST_F(CpuHotplugTest, EachCpuOfTheListGetsItsState) {
  for (unsigned n : {1u, 2u, 3u}) cpu(n, "1");
  ASSERT_TRUE(set({2, 3}, false));
  EXPECT_EQ(state(1), "1");
  EXPECT_EQ(state(2), "0");
  EXPECT_EQ(state(3), "0");
  ASSERT_TRUE(set({3}, true));
  EXPECT_EQ(state(3), "1");
  EXPECT_EQ(state(2), "0");
}

TEST_F(CpuHotplugTest, TheFirstCpuThatDoesNotChangeIsNamedWithItsFile) {
  cpu(2, "1");
  const auto refused = set({2, 7}, false);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("CPU 7 offline: the kernel refuses it: ENOENT"));
  EXPECT_THAT(refused.error().message(), HasSubstr("/cpu7/online"));
  EXPECT_EQ(state(2), "1") << "the highest goes first; nothing follows a failure";
}

TEST_F(CpuHotplugTest, AChildOfSomebodyElseIsNotTaken) { EXPECT_FALSE(hotplug_.on_end(1, 0)); }

}  // namespace
}  // namespace ktstr::guest
