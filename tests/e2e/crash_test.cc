// Real schedulers that really die in a real kernel: the right BUG SUMMARY, the right sections, the same bytes again.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "schemas/event_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using Titles = std::vector<std::string>;
const Titles kAllSections = {"stats",   "diagnostics",    "timeline",  "scheduler log",
                             "monitor", "sched_ext dump", "auto-repro"};

std::string replay(const Scratch& scratch, const std::string& log) {
  Running reporter(scratch, {std::string(KTSTR_BIN) + "/ktstr-reporter", log});
  return reporter.finish().out;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// What every crash of a scheduler must show, on any kernel.
void expect_crash_report(const Scratch& scratch, const RunOutput& run, const std::string& test) {
  EXPECT_EQ(run.exit_code, 1) << run.err;
  std::string folder = scratch.path() + "/out/" + test;
  std::string report = read_file(folder + "/report.txt");
  EXPECT_TRUE(run.out.starts_with(report)) << "report.txt is what was printed";
  EXPECT_NE(run.out.find("\nlog: " + folder + "/events.ktlog\n"), std::string::npos) << run.out;
  EXPECT_EQ(replay(scratch, folder + "/events.ktlog"), report) << "the log alone gives the same bytes";
}

TEST(Crash, TheDemoHasAllEightSectionsFromARealCrash) {
  Scratch scratch;
  auto run = launch(
      scratch, {"run", std::string(KTSTR_SOURCE) + "/examples/demo.toml", "--out", scratch.path() + "/out"});
  expect_crash_report(scratch, run, "enqueue_crash");
  EXPECT_TRUE(run.out.starts_with("BUG SUMMARY: ")) << run.out;
  EXPECT_EQ(sections(run.out), kAllSections) << run.out;
  EXPECT_NE(run.out.find("enqueue_crash"), std::string::npos);
  // The cause: kernel's reason, and the scheduler's own frame with its source line.
  EXPECT_TRUE(std::regex_search(first_line(run.out), std::regex("scx_demo\\.bpf\\.c:[0-9]+")))
      << first_line(run.out);
  // The dump is printed once, although the scheduler prints it too.
  for (const char* line : {"\nBacktrace:\n", "\nCPU states\n"}) {
    EXPECT_NE(run.out.find(line), std::string::npos) << line;
    EXPECT_EQ(run.out.find(line), run.out.rfind(line)) << line;
  }
  EXPECT_TRUE(std::regex_search(
      run.out,
      std::regex("\n\\[lines [0-9]+ to [0-9]+ of the log: the kernel's dump, [0-9]+ lines, printed under "
                 "\"sched_ext dump\"\\]\n")))
      << run.out;
  // The repro VM crashed in the same way, under probes that read arguments.
  EXPECT_NE(run.out.find("same signature"), std::string::npos) << run.out;
  auto log = read_log(scratch.path() + "/out/enqueue_crash/events.ktlog");
  auto hits = std::count_if(log.begin(), log.end(),
                            [](const EventBuffer& e) { return e.type() == Payload::ProbeHit; });
  EXPECT_GT(hits, 0);
  auto samples = std::count_if(log.begin(), log.end(), [](const EventBuffer& e) {
    return e.type() == Payload::MonitorSample && e.vm() == Vm::Primary;
  });
  EXPECT_GT(samples, 0);
}

struct Fixture {
  const char* scheduler;
  const char* args;
  const char* summary;  // regex over the report's first line
  Titles sections;
  double duration_s = 3;
};

void PrintTo(const Fixture& f, std::ostream* os) { *os << f.scheduler; }

class FixtureTest : public testing::TestWithParam<Fixture> {};

TEST_P(FixtureTest, GivesItsBugSummaryAndItsSections) {
  const Fixture& f = GetParam();
  Scratch scratch;
  std::string spec = scratch.write(
      "spec.toml", spec_text({.scheduler = f.scheduler, .args = f.args, .duration_s = f.duration_s}));
  auto run =
      launch_until_judged(scratch, {"run", spec, "--out", scratch.path() + "/out"}, scratch.path() + "/out");
  if (const std::string busy = host_was_too_busy(run); !busy.empty()) GTEST_SKIP() << busy;
  expect_crash_report(scratch, run, "t");
  EXPECT_TRUE(std::regex_search(first_line(run.out), std::regex(f.summary))) << first_line(run.out);
  EXPECT_EQ(sections(run.out), f.sections) << run.out;
}

INSTANTIATE_TEST_SUITE_P(
    Newest, FixtureTest,
    testing::Values(
        // The statement that loses the task, from the program's instructions.
        Fixture{"scx_stall", "",
                "^BUG SUMMARY: .*stall.*ops.enqueue has a way out on which it calls nothing that inserts or "
                "stores the task: "
                "after scx_stall\\.bpf\\.c:[0-9]+: if \\(!stall_is_victim\\(p\\)\\)",
                kAllSections, 20},
        Fixture{"scx_bad_dsq", "", "^BUG SUMMARY: .*(DSQ|dsq)", kAllSections, 20},
        Fixture{"scx_dispatch_loop", "", "^BUG SUMMARY: .*", kAllSections, 20},
        // No dump: the kernel did not disable these. They fail without a repro VM as well as with it, and the
        // auto-repro section says so.
        Fixture{"scx_verifier_reject",
                "",
                "^BUG SUMMARY: .*(verifier|refused|reject)",
                {"diagnostics", "timeline", "scheduler log", "monitor", "auto-repro"}},
        Fixture{"scx_segv",
                "",
                "^BUG SUMMARY: .*(SIGSEGV|signal 11|Segmentation)",
                {"stats", "diagnostics", "timeline", "scheduler log", "monitor", "auto-repro"}},
        Fixture{"scx_exit_early",
                "",
                "^BUG SUMMARY: .*(never attached|before .*attach)",
                {"diagnostics", "timeline", "scheduler log", "monitor", "auto-repro"}}),
    [](const testing::TestParamInfo<Fixture>& fixture) { return std::string(fixture.param.scheduler); });

TEST(Crash, BpfErrorOnTheOldestSchedExtKernelWeSupport) {
  Scratch scratch;
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"200\""}));
  auto run = launch(scratch, {"run", spec, "--kernel", "6.16", "--out", scratch.path() + "/out"});
  expect_crash_report(scratch, run, "t");
  EXPECT_EQ(sections(run.out), kAllSections) << run.out;
  EXPECT_NE(run.out.find("6.16"), std::string::npos);
  EXPECT_NE(run.out.find("same signature"), std::string::npos) << run.out;
  // Values at the crash: an argument of the innermost function, and what a callback changed. On a loaded host another CPU
  // may have spent more before.
  EXPECT_TRUE(std::regex_search(run.out, std::regex("\n +spent +__u64 +2[0-9][0-9]\n +returns +0\n")))
      << run.out;
  EXPECT_TRUE(std::regex_search(run.out, std::regex("p->scx\\.ddsp_dsq_id +u64 +no DSQ → DSQ 0x100")))
      << run.out;
}

TEST(Crash, AGoodSchedulerPassesWithOneLine) {
  Scratch scratch;
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .work = "Mixed"}));
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  std::string report = read_file(scratch.path() + "/out/t/report.txt");
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 1) << report;
  EXPECT_TRUE(report.starts_with("PASS")) << report;
  EXPECT_TRUE(sections(report).empty());
  // Every worker worked, and says so in the log.
  int workers = 0;
  for (const auto& e : read_log(scratch.path() + "/out/t/events.ktlog"))
    if (auto* w = e.as<WorkerReport>()) {
      ++workers;
      EXPECT_GT(w->iterations(), 0u);
    }
  EXPECT_EQ(workers, 2);
  // What the processes decided is beside the log, in whole lines with time, process and level.
  const std::string diagnostics = read_file(scratch.path() + "/out/t/diagnostics.log");
  const std::string time = R"((^|\n)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} )";
  EXPECT_TRUE(std::regex_search(diagnostics, std::regex(time + "launcher +info +accelerator (kvm|tcg): ")))
      << diagnostics;
  EXPECT_TRUE(std::regex_search(
      diagnostics, std::regex(time + "collector +info +primary VM drained: \\d+ console lines, ")))
      << diagnostics;
}

TEST(Crash, BacktraceSwitchShowsDiagnosticsOfAnyFailure) {
  Scratch scratch;
  // A worker check that cannot hold: the failure is not the scheduler's death.
  std::string spec = scratch.write(
      "spec.toml", spec_text({.scheduler = "scx_good", .test = "max_gap_ms = 1", .work = "CpuSpin"}));
  auto plain = launch(scratch, {"run", spec, "--out", scratch.path() + "/plain"});
  EXPECT_EQ(plain.exit_code, 1) << plain.out << plain.err;
  auto plain_sections = sections(plain.out);
  EXPECT_EQ(std::count(plain_sections.begin(), plain_sections.end(), "diagnostics"), 0) << plain.out;
  auto verbose = launch(scratch, {"run", spec, "--out", scratch.path() + "/verbose"}, {"RUST_BACKTRACE=1"});
  auto verbose_sections = sections(verbose.out);
  EXPECT_EQ(std::count(verbose_sections.begin(), verbose_sections.end(), "diagnostics"), 1) << verbose.out;
}

}  // namespace
}  // namespace ktstr::e2e
