#include "reporter/scheduler_log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "reporter/testing/synthetic_run.h"
#include "reporter/text_record.h"
#include "schemas/guest_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Lines = std::vector<std::string>;

Lines stall_dump() { return sample("scx_stall.dump.txt"); }

Lines shown(const Lines& log, const Lines& dump,
            HeadTail::Limits limits = {.head_lines = 8000, .tail_lines = 2000}) {
  HeadTail kernels(limits);
  for (const std::string& line : dump) kernels.push(line);
  SchedulerLog scheduler({.head_lines = 1000, .tail_lines = 1000});
  for (const std::string& line : log) scheduler.push(line);
  scheduler.finish({.lines = kernels, .section = "sched_ext dump"});
  EXPECT_EQ(log.size(), scheduler.total());
  Lines out = scheduler.kept().head();
  out.insert(out.end(), scheduler.kept().tail().begin(), scheduler.kept().tail().end());
  return out;
}

// "start", the dump as a scheduler prints it, "end".
Lines with_rules(const Lines& dump) {
  Lines log = {"start", "DEBUG DUMP", "====", ""};
  log.insert(log.end(), dump.begin(), dump.end());
  log.insert(log.end(), {"", "====", "end"});
  return log;
}

TEST(SchedulerLog, OneLineStandsForTheKernelsDump) {
  const Lines dump = stall_dump();
  EXPECT_THAT(shown(with_rules(dump), dump),
              ElementsAre("start", "DEBUG DUMP", "====", "",
                          fmt::format("[lines 5 to {} of the log: the kernel's dump, {} lines, printed under "
                                      "\"sched_ext dump\"]",
                                      dump.size() + 4, dump.size()),
                          "", "====", "end"));
}

TEST(SchedulerLog, BlanksAtTheEndAndTerminalEscapesAreNoDifference) {
  const Lines dump = stall_dump();
  Lines log = dump;
  for (size_t i = 0; i < log.size(); i += 3) log[i] += " \r";
  log[2] = "\x1b[31m" + log[2] + "\x1b[0m";
  EXPECT_THAT(shown(log, dump), ElementsAre(HasSubstr("the kernel's dump, ")));
}

TEST(SchedulerLog, LinesThatDifferAreShownInTheirPlace) {
  const Lines dump = stall_dump();
  Lines log = dump;
  log[1] = "kworker/u16:2[42] left with another exit";                  // another exit header
  log[40] = "  " + log[40];                                             // another indentation
  log.insert(log.begin() + 60, "[stall] enqueued=15135 dispatched=1");  // printed meanwhile
  const size_t n = dump.size();
  EXPECT_THAT(
      shown(log, dump),
      ElementsAre(
          log[0], log[1],
          fmt::format(
              "[lines 3 to 40 of the log: lines 3 to 40 of the kernel's dump ({} lines), printed under "
              "\"sched_ext dump\"]",
              n),
          log[40], HasSubstr("[lines 42 to 60 of the log: lines 42 to 60 of the kernel's dump"), log[60],
          HasSubstr(
              fmt::format("[lines 62 to {} of the log: lines 61 to {} of the kernel's dump", n + 1, n))));
}

// The kernel cuts the text at the size of the exit record, within a line.
TEST(SchedulerLog, ACopyThatIsCutShowsWhereItEnds) {
  const Lines dump = stall_dump();
  Lines log(dump.begin(), dump.begin() + 71);
  log.back().resize(log.back().size() / 2);
  log.insert(log.end(), {"", "~~~~ TRUNCATED ~~~~"});
  EXPECT_THAT(shown(log, dump), ElementsAre(HasSubstr("lines 1 to 70 of the kernel's dump"), log[70], "",
                                            "~~~~ TRUNCATED ~~~~"));
}

TEST(SchedulerLog, WhatTheKernelsDumpLostIsKept) {
  const Lines whole = stall_dump();
  const auto from = whole.begin();
  Lines cut(from, from + 50);  // its end
  Lines out = shown(whole, cut);
  EXPECT_EQ((Lines(from + 50, whole.end())), Lines(out.begin() + 1, out.end()));
  EXPECT_THAT(out[0], HasSubstr("[lines 1 to 50 of the log: the kernel's dump, 50 lines, "));
  Lines headless(from + 50, whole.end());  // its beginning
  out = shown(whole, headless);
  EXPECT_EQ((Lines(from, from + 50)), Lines(out.begin(), out.end() - 1));
  Lines holed = cut;  // its middle
  holed.insert(holed.end(), from + 80, whole.end());
  out = shown(whole, holed);
  EXPECT_EQ((Lines(from + 50, from + 80)), Lines(out.begin() + 1, out.end() - 1));
}

TEST(SchedulerLog, WhatTheReportLeavesOutOfALongDumpIsKept) {
  const Lines dump = stall_dump();
  const Lines out = shown(dump, dump, {.head_lines = 30, .tail_lines = 40});
  const auto end = dump.end() - 40;
  EXPECT_THAT(out.front(), HasSubstr("lines 1 to 30 of the kernel's dump"));
  EXPECT_THAT(out.back(),
              HasSubstr(fmt::format("lines {} to {} of the kernel's dump", dump.size() - 39, dump.size())));
  EXPECT_EQ((Lines(dump.begin() + 30, end)), Lines(out.begin() + 1, out.end() - 1));
}

TEST(SchedulerLog, ADumpThatOnlyTheSchedulerPrintedStays) {
  const Lines log = with_rules(stall_dump());
  EXPECT_EQ(log, shown(log, {}));
  EXPECT_EQ(log, shown(log, sample("bpf_error-6.16.dump.txt"))) << "the dump of another run";
}

TEST(SchedulerLog, APrefixThatALoggerPutsBeforeEachLineIsNamed) {
  const Lines dump = stall_dump();
  Lines same, stamped;
  for (size_t i = 0; i < dump.size(); ++i) {
    same.push_back("[ERROR scx] " + dump[i]);
    stamped.push_back(fmt::format("Mar 23 09:{:02}:{:02} host1 bash[{}]: ", 40 + i / 60, i % 60, 98 + i) +
                      dump[i]);
  }
  EXPECT_THAT(shown(same, dump),
              ElementsAre(HasSubstr("printed under \"sched_ext dump\"; in the log, the lines begin "
                                    "with \"[ERROR scx] \"]")));
  stamped[20] += " and more";
  const Lines out = shown(stamped, dump);
  EXPECT_EQ(3u, out.size());
  EXPECT_THAT(out.front(),
              HasSubstr("the lines begin with \"Mar 23 09:40:00 host1 bash[98]: \" to \"Mar 23 09:40:"));
  EXPECT_EQ(stamped[20], out[1]);
}

TEST(SchedulerLog, ACopyBehindMoreLinesThanAreKeptWaitingStays) {
  const Lines dump = stall_dump();
  HeadTail kernels({.head_lines = 8000, .tail_lines = 2000});
  for (const std::string& line : dump) kernels.push(line);
  SchedulerLog scheduler({.head_lines = 1000, .tail_lines = 1000});
  for (const std::string& line : dump) scheduler.push(line);
  for (size_t i = 0; i < SchedulerLog::kMostLines; ++i) scheduler.push("round " + std::to_string(i));
  for (const std::string& line : dump) scheduler.push(line);
  scheduler.finish({.lines = kernels, .section = "sched_ext dump"});
  const Lines head = scheduler.kept().head();
  EXPECT_EQ(dump, (Lines(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(dump.size()))));
  EXPECT_EQ(fmt::format(
                "[lines {} to {} of the log: the kernel's dump, {} lines, printed under \"sched_ext dump\"]",
                dump.size() + SchedulerLog::kMostLines + 1, scheduler.total(), dump.size()),
            scheduler.kept().tail().back());
}

TEST(SchedulerLog, TasksThatOnlyTheSchedulersCopyHasAreCountedAndTheDumpSectionPointsToThem) {
  const Lines whole = sample("scx_stall.dump.txt");
  const Lines cut(whole.begin(), whole.begin() + 76);  // CPU 3 with its four tasks
  SyntheticRun run("task_lost", "stall");
  run.boot();
  run.attach("stall");
  run.start_workload();
  run.dump(cut);
  run.scheduler_output(with_rules(whole));
  run.detach("stall");
  run.power_off(true);
  run.complete();
  const std::string text = run.text();
  EXPECT_THAT(
      text,
      HasSubstr("more tasks are in the scheduler's copy of the dump, under \"scheduler log\" as far as that "
                "is printed, and not here\nthe kernel's dump (76 lines):\n"));
  const size_t section = text.find("--- sched_ext dump ---");
  for (const std::string& line : whole)
    if (line.find("] *root ") != line.npos) {
      EXPECT_EQ(text.find("\n" + line + "\n"), text.rfind("\n" + line + "\n")) << line;
    }
  EXPECT_LT(text.find("R spin_2[120] *root"), section) << "in the scheduler log";
  EXPECT_GT(text.find("R pipe_7[125] *root"), section) << "in the kernel's dump";
}

TextRecord record(bool primary, const Lines& dump, const Lines& log, bool dump_first) {
  TextRecord text(primary, false);
  const EventHead head{.run_id = "r", .source = "collector", .vm = primary ? Vm::Primary : Vm::Repro};
  const auto fold_dump = [&] {
    for (const std::string& line : dump) {
      DumpLineT event;
      event.text = line;
      text.fold(make_event(head, std::move(event)));
    }
  };
  if (dump_first) fold_dump();
  for (const std::string& line : log) {
    SchedulerLineT event;
    event.text = line;
    text.fold(make_event(head, std::move(event)));
  }
  if (!dump_first) fold_dump();
  text.finish();
  return text;
}

TEST(SchedulerLog, TheDumpMayArriveAfterItsCopy) {
  const Lines dump = stall_dump();
  EXPECT_EQ(record(true, dump, with_rules(dump), true).scheduler_log.kept().head(),
            record(true, dump, with_rules(dump), false).scheduler_log.kept().head());
}

TEST(SchedulerLog, OfAReproVmTheWholeDumpGivesWayAndTheLineSaysHowMuchOfItIsPrinted) {
  const Lines dump = stall_dump();
  const TextRecord text = record(false, dump, with_rules(dump), true);
  EXPECT_EQ(40u, text.dump.tail().size());
  EXPECT_THAT(text.scheduler_log.kept().tail(),
              Contains(fmt::format(
                  "[lines 5 to {} of the log: the kernel's dump, {} lines, whose last 40 are printed "
                  "under \"repro sched_ext dump\"]",
                  dump.size() + 4, dump.size())));
  EXPECT_THAT(text.scheduler_log.kept().tail(), Contains("start"));
  EXPECT_THAT(text.scheduler_log.kept().tail(), Not(Contains(dump.back())));
}

}  // namespace
}  // namespace ktstr::testing
