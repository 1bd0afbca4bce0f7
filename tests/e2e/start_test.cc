// What a scheduler needs to start, in a real VM: files, configuration, arguments, environment, kernel settings, a build.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

// "The scheduler" is a script that tells what it was given, then becomes a real one; `build` makes it.
constexpr char kToldSpec[] = R"([scheduler.told]
binary = "./told.sh"
build = "cp told.in told.sh && chmod +x told.sh"
args = ["--data", "{files}/data.txt"]
files = ["data.txt"]
config = """
level = 3
at = {files}
"""
config_arg = "--config="
env = { RUST_LOG = "trace", HERE = "{files}" }
kernel_args = ["ktstr_e2e=first"]
sysctl = { "kernel.sched_rt_runtime_us" = 900000 }
[[test]]
name = "told"
scheduler = "told"
kernels = [">=6.16"]
files = ["scx_good", "cat"]
extra_args = ["--more"]
env = { HERE = "there" }
kernel_args = ["ktstr_e2e=second"]
cores = 2
duration_s = 1
[[test]]
name = "other_kernel"
scheduler = "told"
kernels = ["<6.0"]
)";

constexpr char kScript[] = R"sh(#!/bin/sh
say() { echo "TOLD $*"; }
say args "$@"
say env "$RUST_LOG,$RUST_BACKTRACE,$HERE,$HOME"
read -r line < "$2"
say data "$line"
while read -r line; do say config "$line"; done < "${4#--config=}"
read -r line < /proc/cmdline
say cmdline "${line##*ktstr_e2e=first }"
line=$(/ktstr/files/cat /proc/sys/kernel/sched_rt_runtime_us)
say sysctl "$line"
read -r release < /proc/sys/kernel/osrelease
while read -r line; do [ "$line" = "CONFIG_SCHED_CLASS_EXT=y" ] && say kconfig "$line"; done < "/boot/config-$release"
read -r line < /etc/passwd
say passwd "$line"
read -r line < /proc/sys/kernel/hostname
say host "$line"
[ -d /dev/shm ] && [ -d /sys/kernel/debug/sched ] && [ -d /sys/kernel/tracing/events ] && [ -d /sys/fs/bpf ] && [ -d /var/run/lock ] && say folders
read -r line < /sys/class/net/lo/operstate
say lo "$line"
say limits "$(ulimit -n),$(ulimit -l)"
exec /ktstr/files/scx_good
)sh";

std::map<std::string, std::vector<std::string>> told(const std::string& log) {
  std::map<std::string, std::vector<std::string>> out;
  for (const EventBuffer& event : read_log(log)) {
    if (event.type() != Payload::SchedulerLine) continue;
    const std::string text(str(event.as<SchedulerLine>()->text()));
    if (!text.starts_with("TOLD ")) continue;
    const size_t at = text.find(' ', 5);
    out[text.substr(5, at == std::string::npos ? at : at - 5)].push_back(
        at == std::string::npos ? "" : text.substr(at + 1));
  }
  return out;
}

TEST(Start, EverythingThatASchedulerNeedsReachesIt) {
  Scratch scratch;
  const std::string spec = scratch.write("told.toml", kToldSpec);
  scratch.write("told.in", kScript);
  scratch.write("data.txt", "the data\n");
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out", "--embed"},
                          {"RUST_BACKTRACE=full", "RUST_LOG=off"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_NE(run.out.find("SKIPPED other_kernel"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("wants a kernel <6.0"), std::string::npos) << run.out;
  EXPECT_NE(run.err.find("build of scheduler told: cp told.in"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("into the log: file " + scratch.path() + "/data.txt"), std::string::npos) << run.err;

  auto words = told(scratch.path() + "/out/told/events.ktlog");
  using Lines = std::vector<std::string>;
  EXPECT_EQ(words["args"], Lines{"--data /ktstr/files/data.txt --more --config=/ktstr/config/told"});
  EXPECT_EQ(words["env"], Lines{"trace,full,there,/root"});
  EXPECT_EQ(words["data"], Lines{"the data"});
  EXPECT_EQ(words["config"], (Lines{"level = 3", "at = /ktstr/files"}));
  EXPECT_EQ(words["cmdline"], Lines{"ktstr_e2e=second"});
  EXPECT_EQ(words["sysctl"], Lines{"900000"});
  EXPECT_EQ(words["kconfig"], Lines{"CONFIG_SCHED_CLASS_EXT=y"}) << "where libbpf looks for it";
  EXPECT_EQ(words["passwd"], Lines{"root:x:0:0:root:/root:/bin/sh"});
  EXPECT_EQ(words["host"], Lines{"ktstr"});
  EXPECT_EQ(words["folders"], Lines{""});
  EXPECT_TRUE(words["lo"] == Lines{"unknown"} || words["lo"] == Lines{"up"})
      << "it says \"down\" when it is not up";
  EXPECT_EQ(words["limits"], Lines{"65536,unlimited"});
}

TEST(Start, ABuildThatFailsStopsTheRunBeforeAnythingBoots) {
  Scratch scratch;
  const std::string spec = scratch.write("b.toml",
                                         "[scheduler.s]\nbinary = \"scx_good\"\nbuild = \"echo broken >&2; "
                                         "exit 4\"\n[[test]]\nname = \"b\"\nscheduler = \"s\"\n");
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 2) << run.out;
  EXPECT_NE(run.err.find("broken\n"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("exit code 4"), std::string::npos) << run.err;
  EXPECT_FALSE(std::filesystem::exists(scratch.path() + "/out/b"));
}

TEST(Start, TheEnvironmentSwapsTheBinaryAndTheLogSaysSo) {
  Scratch scratch;
  const std::string spec =
      scratch.write("s.toml",
                    "[scheduler.my-own]\nbinary = \"no-such-program\"\nbuild = \"false\"\n"
                    "[[test]]\nname = \"s\"\nscheduler = \"my-own\"\ncores = 2\nduration_s = 1\n");
  const auto run =
      launch(scratch, {"run", spec, "--out", scratch.path() + "/out"}, {"KTSTR_SCHEDULER_MY_OWN=scx_good"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  const auto log = read_log(scratch.path() + "/out/s/events.ktlog");
  ASSERT_FALSE(log.empty());
  const auto* started = log.front().as<RunStarted>();
  ASSERT_TRUE(started);
  EXPECT_EQ(str(started->spec()->scheduler()->chosen_by()), "KTSTR_SCHEDULER_MY_OWN");
  EXPECT_NE(str(started->rerun()).find("KTSTR_SCHEDULER_MY_OWN=scx_good"), std::string::npos);
}

TEST(Start, ASettingThatTheKernelDoesNotHaveIsNoVerdictOnTheScheduler) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "s.toml",
      spec_text(
          {.scheduler = "scx_good", .test = "sysctl = { \"kernel.no_such_setting\" = 1 }", .duration_s = 1}));
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_GT(run.exit_code, 1) << run.out;
  EXPECT_NE(run.out.find("kernel.no_such_setting"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
