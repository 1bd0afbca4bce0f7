// CPUs that go away and come back in a step, in real VMs of two kernels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/guest_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using ::testing::HasSubstr;

constexpr char kAwayAndBack[] = R"(isolation = true
cgroup = [
  { name = "mixed", work = "Mixed", workers = 3 },
  { name = "bound", work = "CpuSpin", workers = 1, cpuset = "2" },
  { name = "churn", work = "AffinityChurn", workers = 1 },
]
step = [
  { hold_s = 1 },
  { name = "away", hold_s = 2, ops = [{ offline = "1-2" }] },
  { name = "back", hold_s = 1, ops = [{ online = "1-2" }] },
]
)";

std::string spec_of(const std::string& scheduler, const std::string& args) {
  return "[scheduler.s]\nbinary = \"" + scheduler + "\"\nargs = [" + args +
         "]\n[[test]]\nname = \"t\"\nscheduler = \"s\"\ncores = 3\nduration_s = 6\n" + kAwayAndBack;
}

class Hotplug : public ::testing::TestWithParam<const char*> {};

// sched_ext's documented way: unregistered, with an exit code that asks for a restart.
TEST_P(Hotplug, ASchedulerWithoutCallbacksLeavesAsTheKernelSays) {
  Scratch scratch;
  const auto run = launch(scratch, {"run", scratch.write("h.toml", spec_of("scx_good", "")), "--kernel",
                                    GetParam(), "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("BUG SUMMARY: scheduler s left during the test: unregistered from the main "
                                 "kernel: cpu 2 going offline, exiting scheduler; CPU hotplug, and the "
                                 "scheduler has no ops.cpu_offline: the kernel asks its process to load it "
                                 "again, and it ended (exit code 0)"));
  EXPECT_THAT(run.out, HasSubstr("SCX_ECODE_ACT_RESTART"));
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog"))
    EXPECT_NE(event.vm(), Vm::Repro) << "there is nothing to probe";
}

TEST_P(Hotplug, ASchedulerThatLoadsItselfAgainPasses) {
  Scratch scratch;
  const auto run =
      launch(scratch, {"run", scratch.write("h.toml", spec_of("scx_good", "\"--restart\", \"1\"")),
                       "--kernel", GetParam(), "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  unsigned restarts = 0, failed = 0, done = 0;
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog")) {
    if (auto* attached = event.as<SchedulerAttached>()) restarts = std::max(restarts, attached->restart());
    if (auto* op = event.as<OpApplied>()) ++(op->error() ? failed : done);
  }
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(done, 2u);
  EXPECT_GE(restarts, 1u);
  EXPECT_THAT(read_file(scratch.path() + "/out/t/report.txt"),
              HasSubstr("restarted: the scheduler's process loaded it again "));
}

// The kernel's own scheduler: no worker is accused of a CPU that is not there.
TEST_P(Hotplug, WithoutASchedulerTheWorkloadPasses) {
  Scratch scratch;
  const auto run = launch(
      scratch, {"run",
                scratch.write("h.toml", std::string("[[test]]\nname = \"t\"\ncores = 3\nduration_s = 6\n") +
                                            kAwayAndBack),
                "--kernel", GetParam(), "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  unsigned done = 0;
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog"))
    if (auto* op = event.as<OpApplied>()) done += op->error() == nullptr;
  EXPECT_EQ(done, 2u);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Hotplug, ::testing::Values("7.3", "6.16"));

TEST(HotplugSpec, Cpu0IsRefusedBeforeAnythingBoots) {
  Scratch scratch;
  const auto run = launch(scratch, {"run", scratch.write("h.toml",
                                                         "[[test]]\nname = \"t\"\ncores = 2\n"
                                                         "step = [{ offline = \"0\" }]\n")});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("CPU 0 cannot go offline"));
}

}  // namespace
}  // namespace ktstr::e2e
