#include "reporter/html/html_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/small_files.h"
#include "base/testing/temp_dir.h"
#include "base/text.h"
#include "reporter/html/assets.h"
#include "reporter/html/page_data.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/repro_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kHostile[] =
    "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> &amp; \xe2\x80\xa8 ]]>";

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// A run whose guest says what would break out of a page, in every place that it has.
SyntheticRun hostile_run() {
  SyntheticRun run(kHostile, kHostile);
  run.spec().file = kHostile;
  run.started().rerun = kHostile;
  run.boot();
  run.console({kHostile});
  run.attach(kHostile);
  run.start_workload();
  run.monitor_samples(8);
  run.scheduler_output({kHostile});
  PayloadLineT line;
  line.name = kHostile;
  line.text = kHostile;
  run.add(std::move(line));
  run.add(SyntheticRun::crash(1025, kHostile, kHostile, {{.function = kHostile, .text = kHostile}}));
  GuestFrozenT frozen;
  frozen.reason = kHostile;
  frozen.cpus.push_back(std::make_unique<FrozenCpuT>());
  frozen.cpus.back()->curr = std::make_unique<TaskSeenT>();
  frozen.cpus.back()->curr->comm = kHostile;
  frozen.maps.push_back(std::make_unique<FrozenMapT>());
  frozen.maps.back()->name = kHostile;
  run.add(std::move(frozen));
  ReproFinishedT repro;
  repro.calls.push_back(std::make_unique<DecodedCallT>());
  repro.calls.back()->function = kHostile;
  repro.calls.back()->values.push_back(std::make_unique<DecodedValueT>());
  repro.calls.back()->values.back()->name = kHostile;
  repro.calls.back()->values.back()->entry = kHostile;
  repro.calls.back()->values.back()->exit = "other";
  run.add(std::move(repro), Vm::Host);
  run.power_off(true);
  run.add(FactsCompletedT{}, Vm::Host);
  return run;
}

struct Folded {
  explicit Folded(SyntheticRun& run) {
    for (const EventBuffer& event : run.events()) {
      picture.fold(event);
      model.fold(event);
    }
    model.finish();
    report = make_report(model);
  }
  std::string data(bool brief = false) const { return page_data({&model, &report}, picture, brief); }
  RunModel model;
  RunPicture picture{100};
  Report report;
};

std::string page_of(const std::string& folder, const std::vector<SyntheticRun*>& runs) {
  auto page = HtmlPage::create(folder);
  EXPECT_TRUE(page) << page.error().to_string();
  std::vector<JudgedTest> tests;
  for (SyntheticRun* run : runs) {
    const Folded folded(*run);
    RunFacts facts = facts_of({&folded.model, &folded.report});
    facts.page = *page->add(folded.data());
    tests.push_back({.tries = {std::move(facts)}, .planned = {}});
  }
  EXPECT_TRUE(page->write(tests).ok());
  return *read_binary(folder + "/index.html", 64 << 20);
}

TEST(HtmlPage, HostileTextStaysTextInItsElement) {
  SyntheticRun run = hostile_run();
  const Folded folded(run);
  const std::string data = folded.data();
  EXPECT_EQ(std::string::npos, data.find_first_of("<>&"));
  const Json json = parse_json(data);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(printable(kHostile), json["rerun"]);
  EXPECT_EQ(printable(kHostile), json["logs"][0]["lines"].back());
  EXPECT_EQ(printable(kHostile), json["chain"]["calls"][0]["values"][0][2]);
  EXPECT_EQ(printable(std::string(kHostile) + "[0]"), json["frozen"][0]["cpus"][0]["runs"]["task"]);

  TempDirForTest dir;
  const std::string page = page_of(dir / "page", {&run});
  EXPECT_EQ(4u, count(page, "<script"));  // index, data, library, page.js
  EXPECT_EQ(4u, count(page, "</script>"));
  EXPECT_EQ(0u, count(page, "<img"));
  EXPECT_NE(0u, count(page, "<title>ktstr: &lt;/script&gt;"));
}

TEST(HtmlPage, HoldsAllThatItNeedsAndAllowsNothingElse) {
  TempDirForTest dir;
  SyntheticRun good = SyntheticRun::good(), bad = SyntheticRun::demo_crash();
  bad.add(FactsCompletedT{}, Vm::Host);
  const std::string page = page_of(dir / "page", {&good, &bad});
  EXPECT_NE(0u, count(page, "default-src 'none'; script-src 'sha256-"));
  EXPECT_EQ(0u, count(page, "unsafe-inline"));
  EXPECT_EQ(0u, count(page, " src=http"));
  EXPECT_EQ(0u, count(page, "sourceMappingURL"));
  EXPECT_NE(0u, count(page, "Permission is hereby granted"));  // the library's licence
  EXPECT_EQ(5u, count(page, "</script>"));
  EXPECT_EQ(count(page, "<style>"), count(page, "</style>"));
  struct stat file{}, folder{};
  ASSERT_EQ(0, ::stat((dir / "page/index.html").c_str(), &file));
  ASSERT_EQ(0, ::stat((dir / "page").c_str(), &folder));
  EXPECT_EQ(0600u, file.st_mode & 0777);
  EXPECT_EQ(0700u, folder.st_mode & 0777);
}

TEST(HtmlPage, TheSameEventsGiveTheSameBytes) {
  TempDirForTest dir;
  SyntheticRun run = SyntheticRun::demo_crash();
  run.add(FactsCompletedT{}, Vm::Host);
  const std::string first = page_of(dir / "a", {&run});
  EXPECT_EQ(first, page_of(dir / "a", {&run}));  // in place of the page that was there
  EXPECT_EQ(first, page_of(dir / "another", {&run}));
}

TEST(HtmlPage, TheDataOfACrashHasSeriesPhasesAndTheTimeOfTheExit) {
  SyntheticRun run = SyntheticRun::demo_crash();
  run.add(FactsCompletedT{}, Vm::Host);
  const Folded folded(run);
  const Json json = parse_json(folded.data());
  EXPECT_EQ("fail", json["outcome"]);
  EXPECT_EQ("workload", json["phases"][2]["name"]);
  EXPECT_LE(json["phases"][2]["from"], 0);
  EXPECT_GT(json["phases"][2]["to"], 0);
  EXPECT_GE(json["series"]["steps"].size(), 2u);
  EXPECT_EQ(json["series"]["steps"].size(), json["series"]["running"][0].size());
  EXPECT_TRUE(json["exit_at"].is_number());
  EXPECT_EQ(folded.report.text, json["text"]);
  const Json brief = parse_json(folded.data(true));
  EXPECT_FALSE(brief.contains("series"));
  EXPECT_EQ(folded.report.text, brief["text"]);
}

TEST(HtmlPage, APlannedTestWithoutALogIsInTheIndex) {
  TempDirForTest dir;
  auto page = HtmlPage::create(dir / "page");
  ASSERT_TRUE(page);
  JudgedTest missing;
  missing.planned.name = "left_behind";
  ASSERT_TRUE(page->write({&missing, 1}).ok());
  EXPECT_THAT(*read_binary(dir / "page/index.html", 64 << 20),
              HasSubstr("\"name\":\"left_behind\",\"status\":\"not_run\""));
}

TEST(HtmlPage, AFolderThatCannotBeMadeIsNamed) {
  TempDirForTest dir;
  dir.write("file", "");
  auto page = HtmlPage::create(dir / "file/page");
  ASSERT_FALSE(page);
  EXPECT_THAT(page.error().to_string(), HasSubstr("file/page"));
  EXPECT_FALSE(HtmlPage::create(dir / "file"));  // a file is in the way
}

}  // namespace
}  // namespace ktstr::testing
