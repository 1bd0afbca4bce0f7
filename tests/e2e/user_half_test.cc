// What ktstr must not do to a scheduler: hold its system calls, wait for it, or be among the tasks that it runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

// A line of /proc/PID/task/TID/stat.
struct TaskLine {
  std::string comm;
  int pid = 0;
  int policy = -1;  // field 41
};

std::optional<TaskLine> parse_stat(std::string_view line) {
  const size_t open = line.find('('), close = line.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close + 2 > line.size()) return {};
  TaskLine task;
  task.comm = line.substr(open + 1, close - open - 1);
  task.pid = std::atoi(std::string(line.substr(0, open)).c_str());
  std::istringstream fields(std::string(line.substr(close + 2)));
  std::string field;
  for (int number = 3; number <= 41 && fields >> field; ++number)
    if (number == 41) task.policy = std::atoi(field.c_str());
  return task;
}

constexpr char kSpec[] = R"([scheduler.u]
binary = "scx_user_decides"
args = ["--timeout-ms", "4000"]
[[test]]
name = "decides"
scheduler = "u"
cores = 4
duration_s = 6
cgroup = [
  { name = "yield", workers = 4, work = "YieldHeavy" },
  { name = "spin", workers = 2 },
]
payload = [{ name = "tasks", binary = "/bin/sh", timeout_s = 30, args = ["-c",
  "for s in /proc/[0-9]*/task/*/stat; do read -r l < $s && echo \"$l\"; done; exit 0"] }]
)";

std::vector<std::string> kernels_here(const Scratch& scratch) {
  std::vector<std::string> all = {""};  // the newest
  const auto list = launch(scratch, {"kernel", "list"});
  if (list.out.find("6.16.") != std::string::npos) all.push_back("6.16");
  return all;
}

TEST(UserHalf, OneThatDecidesThroughMapsPassesAndNothingOfOursIsItsTask) {
  Scratch scratch;
  const std::string spec = scratch.write("u.toml", kSpec);
  for (const std::string& kernel : kernels_here(scratch)) {
    const std::string out = scratch.path() + "/out" + kernel;
    std::vector<std::string> args = {"run", spec, "--out", out};
    if (!kernel.empty()) args.insert(args.end(), {"--kernel", kernel});
    const auto run = launch(scratch, args);
    EXPECT_EQ(run.exit_code, 0) << kernel << run.out << run.err;
    unsigned init_threads = 0, probes = 0, workers = 0;
    for (const EventBuffer& event : read_log(out + "/decides/events.ktlog")) {
      if (event.type() != Payload::PayloadLine) continue;
      const auto task = parse_stat(str(event.as<PayloadLine>()->text()));
      if (!task) continue;
      const bool ours = task->comm == "init" || task->comm == "ktstr-gate" || task->comm == "probe";
      init_threads += task->comm == "init" || task->comm == "ktstr-gate";
      probes += task->comm == "probe";
      workers += task->comm.starts_with("yield/");
      // SCHED_FIFO and SCHED_RR; what a test starts is an ordinary task, which the scheduler under test runs.
      const bool real_time = task->policy == 1 || task->policy == 2;
      const bool of_test =
          task->comm.starts_with("yield/") || task->comm == "sh" || task->comm.starts_with("scx_user_");
      EXPECT_TRUE(!ours || real_time) << task->comm << " has policy " << task->policy;
      EXPECT_TRUE(!of_test || !real_time) << task->comm << " has policy " << task->policy;
    }
    EXPECT_GE(init_threads, 2u) << kernel;
    EXPECT_EQ(probes, 1u) << kernel;
    EXPECT_EQ(workers, 4u) << kernel;
  }
}

// Its user half gives up: every task of the test stalls. None of ours is among them, and the report comes.
TEST(UserHalf, WhenItStallsEverythingNoneOfOursIsStuck) {
  Scratch scratch;
  const std::string spec =
      scratch.write("s.toml", spec_text({.scheduler = "scx_user_decides",
                                         .args = "\"--fail-after\", \"400\", \"--timeout-ms\", \"2000\"",
                                         .test = "auto_repro = false",
                                         .duration_s = 10}));
  const auto run =
      launch_until_judged(scratch, {"run", spec, "--out", scratch.path() + "/out"}, scratch.path() + "/out");
  if (const std::string busy = host_was_too_busy(run); !busy.empty()) GTEST_SKIP() << busy;
  EXPECT_EQ(run.exit_code, 1) << run.err;
  bool stalled = false, finished = false;
  size_t dumped = 0;
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog")) {
    if (event.type() == Payload::CrashDetected) stalled = event.as<CrashDetected>()->exit_kind() == 0x402;
    if (event.type() == Payload::GuestFinished) finished = true;
    if (event.type() != Payload::DumpLine) continue;
    ++dumped;
    const std::string text(str(event.as<DumpLine>()->text()));
    for (const char* ours : {" init[1] ", " ktstr-gate[", " probe["})
      EXPECT_EQ(text.find(ours), std::string::npos) << text;
  }
  EXPECT_TRUE(stalled) << run.out;
  EXPECT_TRUE(finished) << run.out;
  EXPECT_GT(dumped, 10u);
}

// Registered by a map update whose caller gets a CPU long after sched_ext is enabled. Meanwhile the kernel's map reads as
// empty.
TEST(UserHalf, AMapUpdateThatIsNotOverWhenTheSchedulerIsEnabledIsWaitedFor) {
  Scratch scratch;
  const std::string spec =
      scratch.write("l.toml", spec_text({.scheduler = "scx_legacy",
                                         .args = "\"--fail-after\", \"300\", \"--hold-loader\", \"300\"",
                                         .test = "auto_repro = false",
                                         .duration_s = 10}));
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_NE(run.out.find("scx_legacy.bpf.c:"), std::string::npos) << run.out;
}

// Registered by a map update, which is not held: its programs are found afterwards, in both VMs.
TEST(UserHalf, ASchedulerWithoutALinkHasItsSourceLinesAndItsProbes) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "l.toml",
      spec_text({.scheduler = "scx_legacy", .args = "\"--fail-after\", \"300\"", .duration_s = 10}));
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_NE(run.out.find("scx_legacy.bpf.c:"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("same signature"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("legacy_enqueue → legacy_charge"), std::string::npos) << run.out;
}

TEST(UserHalf, ForksThatTheSchedulerRefusesAreCountedAndFailTheTest) {
  Scratch scratch;
  const std::string spec =
      scratch.write("f.toml", spec_text({.scheduler = "scx_no_fork", .work = "ForkExit", .duration_s = 2}));
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_TRUE(run.out.starts_with("BUG SUMMARY: refused: ")) << run.out;
  EXPECT_NE(run.out.find(" with ENOMEM (Cannot allocate memory)"), std::string::npos) << run.out;
}

TEST(UserHalf, ASchedulerUnderWhichNoWorkerCanBeForkedIsNoFailureOfThisHost) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "f.toml", spec_text({.scheduler = "scx_no_fork", .args = "\"--fail-after\", \"0\"", .duration_s = 2}));
  const auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_NE(run.out.find("the kernel refuses forks with ENOMEM"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
