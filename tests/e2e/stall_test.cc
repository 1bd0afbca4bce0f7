// Each kind of mistake that leaves tasks waiting, on a real kernel: the first line says what to mend.
#include <gtest/gtest.h>

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
     "waits in DSQ 0x200.*the BPF timer in map gates stopped", "timer not armed, was due"},
};

class Stall : public testing::TestWithParam<Mistake> {};

TEST_P(Stall, TheFirstLineSaysWhatToMend) {
  const Mistake& m = GetParam();
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml",
      std::string("[scheduler.starve]\nbinary = \"scx_starve\"\nargs = [") + m.args +
          (std::string(m.args).find("--fail-after") == std::string::npos ? ", \"--fail-after\", \"200\""
                                                                         : "") +
          "]\n[[test]]\nname = \"t\"\nscheduler = \"starve\"\nllcs = 1\ncores = 4\nthreads = 1\n"
          "duration_s = 20\nauto_repro = false\n" +
          m.groups);
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string first = run.out.substr(0, run.out.find('\n'));
  EXPECT_TRUE(first.starts_with("BUG SUMMARY: runnable task stall: ")) << first;
  EXPECT_TRUE(std::regex_search(first, std::regex(m.summary))) << first;
  EXPECT_TRUE(std::regex_search(run.out, std::regex(m.evidence))) << run.out;
  EXPECT_EQ(first.find("the host did not run"), std::string::npos) << first;
  // The queues were read while the task waited, not only after the kernel had moved it.
  bool early = false;
  for (const EventBuffer& event : read_log(scratch.path() + "/out/t/events.ktlog"))
    early = early || (event.type() == Payload::GuestFrozen && event.as<GuestFrozen>()->early());
  EXPECT_TRUE(early);
}

INSTANTIATE_TEST_SUITE_P(Newest, Stall, testing::ValuesIn(kMistakes),
                         [](const testing::TestParamInfo<Mistake>& m) { return std::string(m.param.name); });

}  // namespace
}  // namespace ktstr::e2e
