// Workloads in a real VM: every work type, payloads, steps, checks. Few VMs, much in each.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "schemas/event_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

template <typename T>
std::vector<T> all_of(const std::vector<EventBuffer>& log, Payload type) {
  std::vector<T> out;
  for (const EventBuffer& event : log) {
    if (event.type() != type) continue;
    out.emplace_back();
    static_cast<const typename T::TableType*>(event->payload())->UnPackTo(&out.back());
  }
  return out;
}

// Everything that the guest can do in one VM; nothing of it may fail under a fair scheduler.
constexpr char kAll[] = R"(
[scheduler.good]
binary = "scx_good"
[[test]]
name = "all"
scheduler = "good"
llcs = 2
cores = 2
duration_s = 4
isolation = true
enforce = false
cgroup = [
  { name = "io", work = "IoSync", workers = 2 },
  { name = "cache", work = "CachePressure", cpuset = "llc:1" },
  { name = "yield", work = "CacheYield", nice = 5 },
  { name = "pipe", work = "CachePipe", workers = 2, cpuset = "disjoint:0/2" },
  { name = "seq", work = "Sequence", phases = ["spin 1ms", "sleep 1ms", "yield 1ms", "io 1ms"] },
  { name = "nice", work = "NiceSweep" },
  { name = "aff", work = "AffinityChurn", cpuset = "0-1" },
  { name = "pol", work = "PolicyChurn" },
  { name = "fan", work = "FutexFanOut", workers = 3, fan_out = 2 },
  { name = "fanc", work = "FanOutCompute", workers = 3, fan_out = 2, burst_ms = 1 },
  { name = "fault", work = "PageFaultChurn" },
  { name = "mutex", work = "MutexContention", workers = 4 },
  { name = "rt", work = "Bursty", burst_ms = 1, pause_ms = 20, policy = "Fifo", affinity = "3" },
  { name = "own", work = "Custom", workers = 2, payload = "own" },
  { name = "base", workers = 1 },
]
payload = [
  { name = "hash", binary = "sha256sum", args = ["/init"], on_demand = true, timeout_s = 60 },
  { name = "own", binary = "sleep", args = ["1000"] },
  { name = "three", binary = "/bin/sh", args = ["-c", "echo three >&2; exit 3"], exit_code = 3, cgroup = "io" },
  { name = "forever", binary = "sleep", args = ["1000"] },
]
[[test.step]]
name = "squeeze"
hold_frac = 0.25
ops = [
  { add_cgroup = "late", cpus = "llc:0" },
  { spawn = "late", workers = 2, work = "Bursty", burst_ms = 1, pause_ms = 1 },
  { set_cpuset = "base", cpus = "3" },
]
[[test.step]]
name = "turn"
hold_s = 0.5
ops = [
  { swap_cpusets = "aff", with = "cache" },
  { run = "hash" },
  { wait = "hash" },
  { kill = "forever" },
  { clear_cpuset = "base" },
  { set_affinity = "base", cpus = "1" },
  { move_tasks = "late", to = "io" },
  { remove_cgroup = "late" },
  { stop = "mutex" },
]
)";

TEST(Workload, EverythingThatItCanDoInOneVm) {
  Scratch scratch;
  std::string spec = scratch.write("all.toml", kAll);
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  auto log = read_log(scratch.path() + "/out/all/events.ktlog");

  auto ops = all_of<OpAppliedT>(log, Payload::OpApplied);
  EXPECT_EQ(ops.size(), 12u);
  for (const auto& op : ops) EXPECT_EQ(op.error, "") << op.op;

  std::map<std::string, unsigned> workers;
  std::map<std::string, std::set<unsigned>> cpus;
  for (const auto& r : all_of<WorkerReportT>(log, Payload::WorkerReport)) {
    ++workers[r.cgroup];
    cpus[r.cgroup].insert(r.cpus.begin(), r.cpus.end());
    EXPECT_TRUE(r.outside_cpus.empty()) << r.cgroup << " ran outside of its cpuset";
    EXPECT_FALSE(r.killed) << r.cgroup;
    EXPECT_EQ(r.exit_code, 0) << r.cgroup;
    EXPECT_GT(r.run_ns, 0u) << r.cgroup;
    if (r.work != WorkType::Custom) {
      EXPECT_GT(r.iterations, 0u) << r.cgroup;
    }
  }
  EXPECT_EQ(workers.size(), 16u);
  EXPECT_EQ(workers["late"], 2u);
  EXPECT_EQ(workers["own"], 2u);
  EXPECT_EQ(cpus["rt"], std::set<unsigned>{3});
  // Its cpuset was swapped: at first CPUs 0-1, then 2-3.
  EXPECT_EQ(cpus["aff"], (std::set<unsigned>{0, 1, 2, 3}));
  for (unsigned cpu : cpus["pipe"]) EXPECT_LE(cpu, 1u);

  std::map<std::string, PayloadExitedT> exits;
  for (auto& exit : all_of<PayloadExitedT>(log, Payload::PayloadExited)) exits[exit.name] = std::move(exit);
  EXPECT_EQ(exits["hash"].exit_code, 0);
  EXPECT_EQ(exits["three"].exit_code, 3);
  EXPECT_TRUE(exits["forever"].stopped);
  // A real program on real data: the host's own sha256sum says the same of ktstr-init.
  Running host(scratch, {"/usr/bin/sha256sum", std::string(KTSTR_BIN) + "/ktstr-init"});
  const std::string wanted = host.finish().out.substr(0, 64);
  auto lines = all_of<PayloadLineT>(log, Payload::PayloadLine);
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(),
                          [&](const auto& l) { return l.name == "hash" && l.text == wanted + "  /init"; }))
      << "wanted " << wanted;
}

// One line for each check that is violated, the payload's last words, and how to run it again.
TEST(Workload, EachViolationIsToldAndTheEndSaysHowToRerun) {
  Scratch scratch;
  std::string spec = scratch.write("bad.toml", R"(
[default]
cores = 2
duration_s = 1
[[test]]
name = "bad"
min_iteration_rate = 1000000000
max_p99_wake_latency_ns = 1
  [[test.cgroup]]
  name = "g"
  work = "Bursty"
  [[test.payload]]
  name = "p"
  binary = "/bin/sh"
  args = ["-c", "echo '{\"name\": \"sum\", \"outcome\": \"fail\", \"observed\": 3, \"threshold\": 2}' >&$KTSTR_CHECK_FD; echo no good; exit 7"]
[[test]]
name = "late"
  [[test.payload]]
  name = "slow"
  binary = "sleep"
  args = ["1000"]
  timeout_s = 0.2
)");
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  std::string report = read_file(scratch.path() + "/out/bad/report.txt");
  for (const char* text : {"iteration rate: worker 0 of g did ", "wake latency: p99 of worker 0 of g was ",
                           "payload p: exit code 7; its last line: no good",
                           "check sum: observed 3, threshold 2", "4 checks failed"})
    EXPECT_NE(report.find(text), std::string::npos) << text << "\n" << report;
  EXPECT_NE(run.out.find("payload slow: did not end within "), std::string::npos) << run.out;
  const std::string folder = scratch.path() + "/out/bad";
  EXPECT_NE(run.out.find("\nFAILED bad: "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("  report: " + folder + "/report.txt\n  log: " + folder +
                         "/events.ktlog\n  rerun: "
                         "ktstr-launch run " +
                         spec + " -E 'test(=bad)'"),
            std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find("0 passed, 2 failed\n"), std::string::npos) << run.out;
}

// Real-time hogs on every CPU: the test ends in time all the same, and tells what they did.
TEST(Workload, RealTimeHogsDoNotKeepTheTestFromEnding) {
  Scratch scratch;
  std::string spec = scratch.write("rt.toml", R"([[test]]
name = "rt"
cores = 2
duration_s = 1
enforce = false
cgroup = [{ name = "rt", workers = 2, policy = "Fifo", priority = 98 }]
)");
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_NE(run.out.find("PASS rt"), std::string::npos) << run.out;
}

TEST(Workload, WhatIsWrongIsToldBeforeAnythingBoots) {
  Scratch scratch;
  std::string spec =
      scratch.write("x.toml",
                    "[[test]]\nname = \"x\"\n[[test.payload]]\nname = \"p\"\nbinary = \"no-such-program\"\n"
                    "[test.matrix]\ncores = [1, 2]\n");
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("x.toml:5: payload \"p\": "), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("no-such-program"), std::string::npos) << run.err;
  EXPECT_EQ(run.err.find("payload \"p\""), run.err.rfind("payload \"p\""))
      << "once, though the matrix has two cells: " << run.err;

  spec = scratch.write("y.toml", "[[test]]\nname = \"y\"\n[test.matrix]\ncores = [1, 2]\n");
  auto list = launch(scratch, {"list", spec, "-E", "test(=y[cores=2])"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_NE(list.out.find("y[cores=2]"), std::string::npos) << list.out;
  EXPECT_EQ(list.out.find("y[cores=1]"), std::string::npos) << list.out;
  EXPECT_EQ(launch(scratch, {"run", spec, "-E", "tset(y)"}).exit_code, 6)
      << "a bad filter has a code of its own";
}

}  // namespace
}  // namespace ktstr::e2e
