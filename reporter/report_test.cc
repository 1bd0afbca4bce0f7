// Which sections a report has, and when.
#include "reporter/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reporter/testing/synthetic_run.h"
#include "reporter/timeline.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> titles(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = text.find("\n--- ", at)) != text.npos;) {
    at += 5;
    out.push_back(text.substr(at, text.find(" ---\n", at) - at));
  }
  return out;
}

// A failure that is none of the scheduler's: a check.
SyntheticRun failed_check(const std::string& name = "", const std::string& value = "") {
  SyntheticRun run("steady", "good");
  if (!name.empty()) run.environment(name, value);
  run.boot();
  run.console({"[    1.0] first line", "[    1.1] second line"});
  run.attach("good");
  run.start_workload();
  run.monitor_samples(20);
  run.finish_workload();
  run.report_workers(0);
  run.power_off();
  run.complete();
  return run;
}

TEST(Report, PassIsOneLine) {
  SyntheticRun run = SyntheticRun::good();
  std::string text = run.text();
  EXPECT_EQ(text.size() - 1, text.find('\n'));
  EXPECT_THAT(text, StartsWith("PASS steady  7.3.4  tcg  4 cpus  5.0 s"));
}

TEST(Report, SectionsOfACrashInTheirOrder) {
  SyntheticRun run = SyntheticRun::demo_crash();
  ReproFinishedT repro;
  repro.status = ReproStatus::NotReproduced;
  run.add(std::move(repro), Vm::Host);
  run.add(FactsCompletedT{}, Vm::Host);
  EXPECT_EQ((std::vector<std::string>{"stats", "diagnostics", "timeline", "scheduler log", "monitor",
                                      "sched_ext dump", "auto-repro"}),
            titles(run.text()));
  EXPECT_THAT(run.text(), StartsWith("BUG SUMMARY: scx_bpf_error: demo: budget"));
  EXPECT_THAT(run.text(), HasSubstr("\nerror: test enqueue_crash [scheduler demo]: scheduler crashed\n"));
}

TEST(Report, DiagnosticsOnlyForTheDeadOrOnRequest) {
  SyntheticRun plain = failed_check();
  EXPECT_THAT(plain.text(), Not(HasSubstr("--- diagnostics ---")));
  EXPECT_THAT(plain.text(), Not(HasSubstr("--- auto-repro ---")));
  for (const char* value : {"1", "full"}) {
    SyntheticRun run = failed_check("RUST_BACKTRACE", value);
    EXPECT_THAT(run.text(), HasSubstr("--- diagnostics ---"));
    EXPECT_THAT(run.text(), HasSubstr("--- console ---\n[    1.0] first line\n"));
  }
  SyntheticRun off = failed_check("RUST_BACKTRACE", "0");
  EXPECT_THAT(off.text(), Not(HasSubstr("--- diagnostics ---")));
  SyntheticRun verbose = failed_check("KTSTR_VERBOSE", "1");
  EXPECT_THAT(verbose.text(), Not(HasSubstr("--- diagnostics ---")));
  EXPECT_THAT(verbose.text(), HasSubstr("--- console ---"));
}

TEST(Report, GuestTextCannotForgeLines) {
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.scheduler_output({"\x1b[2J\x1b[1;1Hclean\rBUG SUMMARY: none\nPASS forged", "\x1b]0;title\x07ok"});
  run.add(SyntheticRun::crash(0x401, "scx_bpf_error", "evil\nPASS forged\x1b[31m", {}));
  std::string text = run.text();
  EXPECT_EQ(text.npos, text.find('\x1b'));
  EXPECT_EQ(text.npos, text.find('\r'));
  EXPECT_THAT(text, Not(HasSubstr("\nPASS forged")));
}

TEST(Report, TheTimelineIsInTheOrderOfTheTimesThatItShows) {
  Timeline timeline;
  timeline.zero({.host_ns = 100, .guest_ns = 50});
  timeline.mark({.host_ns = 300, .guest_ns = 210}, "the monitor saw it");
  timeline.mark({.host_ns = 310, .guest_ns = 200}, "the kernel said it");
  timeline.mark({.host_ns = 250, .guest_ns = 0}, "the host alone");
  std::vector<std::string> texts;
  for (const Mark& mark : timeline.marks()) texts.push_back(mark.text);
  EXPECT_THAT(texts, ::testing::ElementsAre("the kernel said it", "the host alone", "the monitor saw it"));
}

TEST(Report, TheTimelineCountsFromTheWorkloadsStartAsTheHeadDoes) {
  SyntheticRun run = SyntheticRun::demo_crash();
  const std::string text = run.text();
  const size_t when = text.find("  when:      ");
  const std::string told = text.substr(when + 13, text.find(" after the workload's start") - when - 13);
  EXPECT_EQ(told, "1.220 s");
  EXPECT_THAT(text, HasSubstr("  workload        +0.000 s  1.220 s "));
  EXPECT_THAT(text, HasSubstr("    +1.220 s  the kernel dumps sched_ext's state"));
}

TEST(Report, CollectorsStandOnTheTimeline) {
  SyntheticRun run = SyntheticRun::demo_crash();
  CollectorLineT line;
  line.text = "fan speed 9000";
  run.add_from("sensors", std::move(line), Vm::Host);
  run.add(FactsCompletedT{}, Vm::Host);
  EXPECT_THAT(run.text(), HasSubstr("[sensors] fan speed 9000"));
}

TEST(Report, EventsAfterTheFactsChangeNothing) {
  SyntheticRun run = SyntheticRun::good();
  std::string before = run.text();
  run.add(VerdictT{}, Vm::Host);
  run.dump(sample("7.3-scx_demo.dump.txt"));
  run.add(RunFinishedT{}, Vm::Host);
  EXPECT_EQ(before, run.text());
}

TEST(Report, ReproSaysWhatTheProbesCostAndWhatWouldShowMore) {
  auto report = [](float slowdown, const char* hint) {
    SyntheticRun run = SyntheticRun::demo_crash();
    ReproFinishedT repro;
    repro.status = ReproStatus::SameSignature;
    repro.slowdown = slowdown;
    repro.hint = hint;
    run.add(std::move(repro), Vm::Host);
    run.complete();
    return run.text();
  };
  std::string text = report(1.24f, "kernel source lines: ktstr-launch kernel fetch --debuginfo");
  EXPECT_THAT(text, HasSubstr("probes cost 1.24x"));
  EXPECT_THAT(text, HasSubstr("hint: kernel source lines: ktstr-launch kernel fetch --debuginfo"));
  std::string unknown = report(0, "");
  EXPECT_THAT(unknown, Not(HasSubstr("probes cost")));
  EXPECT_THAT(unknown, Not(HasSubstr("hint:")));
}

TEST(Report, TheCostOfTheProbesSaysWhatTheyTookAndWhoChose) {
  auto report = [](ReproProbes probes, bool asked) {
    SyntheticRun run = SyntheticRun::demo_crash();
    ReproFinishedT repro;
    repro.slowdown = 1.5f;
    repro.probes = probes;
    repro.probes_asked = asked;
    run.add(std::move(repro), Vm::Host);
    run.complete();
    return run.text();
  };
  const std::string line = "probes cost 1.50x (iterations of the workers, primary VM over repro VM)";
  EXPECT_THAT(report(ReproProbes::Unstated, false), HasSubstr(line + "\n"));
  EXPECT_THAT(report(ReproProbes::Light, false),
              HasSubstr(line + "; light probes, as the backtrace gives the chain\n"));
  EXPECT_THAT(report(ReproProbes::Full, false),
              HasSubstr(line + "; full probes, as no backtrace gives the chain\n"));
  EXPECT_THAT(report(ReproProbes::Full, true), HasSubstr(line + "; full probes, as asked for\n"));
}

TEST(Report, ReproStatusLines) {
  for (auto [status, words] : {std::pair{ReproStatus::DifferentCrash, "different crash (0 of 3 tries): text"},
                               {ReproStatus::NotReproduced, "not reproduced"},
                               {ReproStatus::EmulatorArtefact, "emulator artifact"},
                               {ReproStatus::PrimaryDidNotReachWorkload, "PRIMARY DID NOT REACH WORKLOAD"},
                               {ReproStatus::VmFailed, "repro VM failed"}}) {
    SyntheticRun run = SyntheticRun::demo_crash();
    ReproFinishedT repro;
    repro.status = status;
    repro.tries = 3;
    repro.detail = "text";
    run.add(std::move(repro), Vm::Host);
    run.add(FactsCompletedT{}, Vm::Host);
    EXPECT_THAT(run.text(), HasSubstr(std::string("crash reproduction: ") + words));
  }
  SyntheticRun declined = SyntheticRun::demo_crash();
  ReproDeclinedT why;
  why.reason = "auto_repro = false";
  declined.add(std::move(why), Vm::Host);
  declined.add(FactsCompletedT{}, Vm::Host);
  EXPECT_THAT(declined.text(), HasSubstr("crash reproduction: not attempted: auto_repro = false"));
}

TEST(Report, MonitorThatSawNothingSaysSo) {
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  run.start_workload();
  MonitorUnavailableT unavailable;
  unavailable.reason = "no VMCOREINFO note in the guest's RAM";
  run.add(std::move(unavailable));
  run.add(SyntheticRun::crash(0x401, "scx_bpf_error", "x", {}));
  EXPECT_THAT(
      run.text(),
      HasSubstr("no samples: no VMCOREINFO note in the guest's RAM\nverdict: could not be evaluated"));
}

TEST(Report, LostHelpersAreNamedNearTheTop) {
  SyntheticRun run = SyntheticRun::good();
  SyntheticRun lost("steady", "good");
  lost.boot();
  HelperExitedT exit;
  exit.name = "monitor";
  exit.signal = 9;
  lost.add(std::move(exit), Vm::Host);
  lost.attach("good");
  lost.start_workload();
  lost.finish_workload();
  lost.report_workers();
  lost.power_off();
  lost.complete();
  EXPECT_THAT(lost.text(), StartsWith("PASS "));
  EXPECT_THAT(lost.text(), HasSubstr("[helper lost: ktstr-monitor (killed by SIGKILL)]"));
}

TEST(Report, RefusedClientsAndHeldProducersAreNamedOnce) {
  SyntheticRun run("steady", "good");
  run.boot();
  for (int i = 0; i < 3; ++i) {
    ClientRefusedT refused;
    refused.name = "trace\x1b[2J";
    refused.reason = "name: \"trace\" is taken";
    refused.refused = 10;
    run.add(std::move(refused), Vm::Host);
    ProducerHeldT held;
    held.held_ns = 1'500'000'000;
    run.add(std::move(held), Vm::Host);
  }
  run.attach("good");
  run.start_workload();
  run.finish_workload();
  run.report_workers();
  run.power_off();
  run.complete();
  EXPECT_THAT(run.text(), HasSubstr("[client \"trace\" rejected, 30 events: name: \"trace\" is taken]"));
  EXPECT_THAT(run.text(), HasSubstr("waited 4.500 s"));
}

TEST(Report, MemoryStaysFlat) {
  RunModel model;
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  for (const EventBuffer& event : run.events()) model.fold(event);
  ConsoleLineT console;
  console.text = std::string(200, 'c');
  SchedulerLineT line;
  line.text = "round";
  EventHead head{.run_id = "r", .source = "collector", .vm = Vm::Primary};
  EventBuffer a = make_event(head, std::move(console)), b = make_event(head, std::move(line));
  for (int i = 0; i < 300'000; ++i) {
    model.fold(a);
    model.fold(b);
  }
  model.finish();
  EXPECT_EQ(20u, model.primary().text.console_tail.lines().size());
  EXPECT_EQ(0u, model.primary().text.console.head().size());
  EXPECT_EQ(2u, model.primary().text.scheduler_log.kept().head().size());
}

}  // namespace
}  // namespace ktstr::testing
