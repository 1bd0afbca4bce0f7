// Each kind of mistake that leaves tasks waiting, on a real kernel: the first line says what to mend.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "schemas/monitor_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

struct Mistake {
  const char* name;
  const char* args;
  const char* groups;    // [[test.cgroup]] blocks
  const char* summary;   // regex over the report's first line
  const char* evidence;  // regex over the report
};

void PrintTo(const Mistake& m, std::ostream* os) { *os << m.name; }

#define GROUP(name, workers, work, more) \
  "[[test.cgroup]]\nname = \"" name "\"\nworkers = " workers "\nwork = \"" work "\"\n" more

constexpr Mistake kMistakes[] = {
    {"ForeignDsq", R"("--fault", "1")", GROUP("a", "3", "YieldHeavy", "affinity = \"1\"\n"),
     "it may run on CPU 1 only; it waits in DSQ 0x202.*took nothing from that DSQ", "CPU 1, in DSQ 0x202"},
    {"UnservedDsq", R"("--fault", "2")", GROUP("a", "6", "YieldHeavy", ""),
     "waits in DSQ 0x202.*nothing was taken from that DSQ .*, while [0-9]+ tasks were taken from others",
     "tasks taken from DSQs meanwhile: .*DSQ 0x202 0"},
    {"NoKick", R"("--fault", "3", "--timeout-ms", "1000")", GROUP("a", "1", "Bursty", ""),
     "waits in DSQ 0x20.*could run it and (was|were) idle", "idle [1-9]"},
    {"KeptInAFullMap", R"("--fault", "4")", GROUP("a", "6", "YieldHeavy", ""),
     "the scheduler holds it \\(ops_state QUEUED", "map pending \\(queue\\) is full: 4 of 4 entries"},
    {"DispatchWaitsForABatch", R"("--fault", "5")", GROUP("a", "3", "YieldHeavy", ""),
     "waits in DSQ 0x200.*could run it and (was|were) idle.*took nothing from that DSQ",
     "tasks taken from DSQs meanwhile: .*DSQ 0x200 0"},
    {"LastInOrder", R"("--fault", "6", "--timeout-ms", "800")",
     GROUP("a", "2", "CpuSpin", "") GROUP("b", "40", "PipeIo", ""),
     "waits in DSQ 0x300.*[0-9]+ other tasks were taken from that DSQ meanwhile", "vtime 1000|vtime is 1000"},
    {"TimerStopped", R"("--fault", "7", "--fail-after", "500")", GROUP("a", "4", "YieldHeavy", ""),
     "waits in DSQ 0x200.*the BPF timer in map gates stopped .* before; a timer is not started again on the "
     "way "
     "out of hand_out\\(\\) after scx_starve\\.bpf\\.c:[0-9]+: if \\(\\+\\+timer_ran < "
     "config\\.fail_after\\)",
     "timer not armed, was due"},
    {"RealTime", R"("--fault", "8", "--timeout-ms", "2000")",
     "sysctl = { \"kernel.sched_rt_runtime_us\" = -1 }\n" GROUP(
         "rt", "1", "CpuSpin", "policy = \"Fifo\"\npriority = 10\naffinity = \"1\"\n")
         GROUP("b", "4", "YieldHeavy", "affinity = \"1\"\n"),
     "it may run on CPU 1 only; .*meanwhile CPU 1 ran rt/0\\[[0-9]+\\], a real-time task",
     "fix: .*bound what the real-time task takes"},
    {"Kworkers", R"("--fault", "9", "--timeout-ms", "2000")", GROUP("a", "6", "YieldHeavy", ""),
     "waits in DSQ 0x400.*nothing was taken from that DSQ|the watchdog itself was not run for .*waits in DSQ "
     "0x400",
     "fix: .*(serve kernel threads|move from that DSQ)"},
    {"EndlessSlices", R"("--fault", "11", "--fail-after", "1", "--timeout-ms", "5000")",
     GROUP("a", "8", "CpuSpin", ""),
     "waits in DSQ 0x100.*ops.dispatch was (not called there|called only) .*: a/[0-9]\\[[0-9]+\\] has CPU "
     "[0-9] in "
     ".*SCX_SLICE_INF",
     "fix: .*finite slice"},
    {"FullLocalDsq", R"("--fault", "12")", GROUP("a", "6", "CpuSpin", ""),
     "it may run on CPU 0 only; it waits in DSQ 0x100.*because the local DSQ of CPU 0 was never empty",
     "ops.dispatch was called 0 times on CPU 0"},
};

// The scheduler's own process, by name of the fixture.
constexpr Mistake kUserHalf[] = {
    {"Sleeps", R"("--fail-after", "300", "--fault", "1", "--timeout-ms", "3000")",
     GROUP("a", "6", "YieldHeavy", ""),
     "the scheduler holds it .*; no thread of the scheduler's process ran "
     "meanwhile "
     "\\(scx_user_decide\\[[0-9]+\\] sleeps in futex[a-z_]* \\(futex\\)",
     "the scheduler's process: scx_user_decide.*futex"},
};

void check(const Mistake& m, const char* scheduler) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml",
      std::string("[scheduler.x]\nbinary = \"scx_") + scheduler + "\"\nargs = [" + m.args +
          (std::string(m.args).find("--fail-after") == std::string::npos ? ", \"--fail-after\", \"200\""
                                                                         : "") +
          "]\n[[test]]\nname = \"t\"\nscheduler = \"x\"\nllcs = 1\ncores = 4\nthreads = 1\n"
          "duration_s = 20\nauto_repro = false\n" +
          m.groups);
  auto run =
      launch_until_judged(scratch, {"run", spec, "--out", scratch.path() + "/out"}, scratch.path() + "/out");
  if (const std::string busy = host_was_too_busy(run); !busy.empty()) GTEST_SKIP() << busy;
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string first = run.out.substr(0, run.out.find('\n'));
  EXPECT_TRUE(first.starts_with("BUG SUMMARY: runnable task stall: ")) << first;
  EXPECT_TRUE(std::regex_search(first, std::regex(m.summary))) << first;
  EXPECT_TRUE(std::regex_search(run.out, std::regex(m.evidence))) << run.out;
  EXPECT_EQ(first.find("the host did not run"), std::string::npos) << first;
  EXPECT_EQ(first.find("init["), std::string::npos) << "a worker that never ran has its name, too: " << first;
  // The queues were read while the task waited, not only after the kernel had moved it.
  bool early = false;
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog"))
    early = early || (event.type() == Payload::GuestFrozen && event.as<GuestFrozen>()->early());
  EXPECT_TRUE(early);
}

class Stall : public testing::TestWithParam<Mistake> {};
TEST_P(Stall, TheFirstLineSaysWhatToMend) { check(GetParam(), "starve"); }
class UserHalfStall : public testing::TestWithParam<Mistake> {};
TEST_P(UserHalfStall, TheFirstLineSaysWhatItSleepsIn) { check(GetParam(), "user_decides"); }

INSTANTIATE_TEST_SUITE_P(Newest, Stall, testing::ValuesIn(kMistakes),
                         [](const testing::TestParamInfo<Mistake>& m) { return std::string(m.param.name); });

INSTANTIATE_TEST_SUITE_P(Newest, UserHalfStall, testing::ValuesIn(kUserHalf),
                         [](const testing::TestParamInfo<Mistake>& m) { return std::string(m.param.name); });

// Errors that the kernel finds, and what the first ten lines say of the statement.
struct Slip {
  const char* name;
  const char* fault;
  const char* head;  // regex over the first ten lines
};
void PrintTo(const Slip& s, std::ostream* os) { *os << s.name; }
constexpr Slip kSlips[] = {
    {"InitReturnsAnError", "1",
     "ops.init\\(\\) failed \\(-17\\) \\[-17 is EEXIST, File exists\\] \\(returned by slip_init at "
     "scx_slip.bpf.c:[0-9]+; "
     "-17 came from scx_bpf_create_dsq\\(dsq_id DSQ 0x200\\), .*make_queues"},
    {"InitTaskReturnsAnError", "2",
     "ops.init_task\\(\\) failed \\(-7\\).*\\[-7 is E2BIG, Argument list too long\\] \\(returned by "
     "slip_init_task at "
     "scx_slip.bpf.c:[0-9]+; -7 came from .*add_slot"},
    {"ForeignCpu", "3",
     "target CPU [0-9] not allowed for a/[0-9].* \\(scx_bpf_dsq_insert\\(dsq_id local DSQ of CPU [0-9]\\) in "
     "slip_enqueue, after scx_slip.bpf.c:[0-9]+: scx_compat_dsq_insert\\(p, SCX_DSQ_LOCAL_ON"},
    {"InsertedTwice", "4", "already direct-dispatched \\(in slip_enqueue, after scx_slip.bpf.c:[0-9]+"},
    {"MixedOrder", "5",
     "already had (FIFO|PRIQ)-enqueued tasks \\((scx_bpf_dsq_insert|in scx_dispatch_enqueue, after "
     "ops.enqueue, slip_enqueue)"},
};
class KernelFinds : public testing::TestWithParam<Slip> {};
TEST_P(KernelFinds, TheHeadNamesTheStatement) {
  const Slip& s = GetParam();
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml", std::string("[scheduler.slip]\nbinary = \"scx_slip\"\nargs = [\"--fault\", \"") + s.fault +
                       "\"]\n[[test]]\nname = \"t\"\nscheduler = \"slip\"\nllcs = 1\ncores = 4\nthreads = 1\n"
                       "duration_s = 10\n" GROUP("a", "3", "YieldHeavy", "affinity = \"2\"\n")
                           GROUP("b", "3", "Bursty", ""));
  auto run =
      launch_until_judged(scratch, {"run", spec, "--out", scratch.path() + "/out"}, scratch.path() + "/out");
  if (const std::string busy = host_was_too_busy(run); !busy.empty()) GTEST_SKIP() << busy;
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string head = run.out.substr(0, run.out.find("\n\n"));
  EXPECT_TRUE(std::regex_search(head, std::regex(s.head))) << head;
  EXPECT_NE(head.find("\n  fix: "), std::string::npos) << head;
  EXPECT_LE(std::count(head.begin(), head.end(), '\n'), 9) << head;
}
INSTANTIATE_TEST_SUITE_P(Newest, KernelFinds, testing::ValuesIn(kSlips),
                         [](const testing::TestParamInfo<Slip>& s) { return std::string(s.param.name); });

}  // namespace
}  // namespace ktstr::e2e
