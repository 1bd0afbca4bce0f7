#include "reporter/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "reporter/testing/synthetic_run.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Formats : public ::testing::Test {
 protected:
  Formats() {
    SyntheticRun good = SyntheticRun::good();
    SyntheticRun bad("a<b>&\"c\"", "demo");
    bad.spec().file = "specs/demo,1.toml";
    bad.spec().line = 12;
    SyntheticRun::add_demo_crash(bad);
    bad.scheduler_output({"]]> ``` ```` <&> \x01\x1b[2J caf\xe9"});
    bad.add(FactsCompletedT{}, Vm::Host);
    for (SyntheticRun* run : {&good, &bad}) {
      auto& model = models_.emplace_back(std::make_unique<RunModel>());
      for (const EventBuffer& event : run->events()) model->fold(event);
      model->finish();
      reports_.push_back(std::make_unique<Report>(make_report(*model)));
      runs_.push_back({.tries = {facts_of({model.get(), reports_.back().get()})}, .planned = {}});
    }
  }
  std::vector<std::unique_ptr<RunModel>> models_;
  std::vector<std::unique_ptr<Report>> reports_;
  std::vector<JudgedTest> runs_;
};

TEST_F(Formats, JsonIsOneObjectALine) {
  std::istringstream in(render(Format::kJson, runs_));
  std::string first, second, rest;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_FALSE(std::getline(in, rest));
  auto good = nlohmann::json::parse(first), bad = nlohmann::json::parse(second);
  EXPECT_EQ("pass", good["outcome"]);
  EXPECT_EQ(0, good["exit_code"]);
  EXPECT_EQ("fail", bad["outcome"]);
  EXPECT_EQ("a<b>&\"c\"", bad["test"]);
  EXPECT_EQ(1025, bad["crash"]["exit_kind"]);
  EXPECT_EQ("demo_charge", bad["crash"]["backtrace"][2]["function"]);
  EXPECT_EQ(12, bad["monitor"]["samples"]);
}

TEST_F(Formats, JunitEscapesAndCounts) {
  std::string xml = render(Format::kJunit, runs_);
  EXPECT_THAT(xml, HasSubstr("tests=\"2\" failures=\"1\" errors=\"0\""));
  EXPECT_THAT(xml, HasSubstr("<testcase name=\"a&lt;b&gt;&amp;&quot;c&quot;\""));
  EXPECT_THAT(xml, HasSubstr("]]&gt;"));
  EXPECT_THAT(xml, Not(HasSubstr("\x1b")));
  EXPECT_THAT(xml, Not(HasSubstr("\x01")));
}

TEST_F(Formats, GithubPointsAtTheSpec) {
  std::string text = render(Format::kGithub, std::span(runs_).subspan(1));
  EXPECT_THAT(
      text,
      StartsWith("::error file=specs/demo%2C1.toml,line=12,title=ktstr%3A a<b>&\"c\"::scx_bpf_error: demo"));
  EXPECT_EQ(text.size() - 1, text.find('\n'));
}

TEST_F(Formats, KtapNumbersItsTests) {
  std::string text = render(Format::kKtap, runs_);
  EXPECT_THAT(text, StartsWith("KTAP version 1\n1..2\nok 1 steady\n# BUG SUMMARY: "));
  EXPECT_THAT(text, HasSubstr("\nnot ok 2 a<b>&\"c\"\n"));
}

TEST_F(Formats, MarkdownFoldsSectionsBehindFencesThatHold) {
  std::string text = render(Format::kMarkdown, std::span(runs_).subspan(1));
  EXPECT_THAT(text, HasSubstr("<details><summary>scheduler log</summary>\n\n`````\n"));
  EXPECT_THAT(text, HasSubstr("**BUG SUMMARY:** `scx_bpf_error: demo"));
}

TEST_F(Formats, TextIsTheReport) {
  EXPECT_EQ(reports_[0]->text + reports_[1]->text, render(Format::kText, runs_));
  EXPECT_FALSE(parse_format("yaml"));
  EXPECT_EQ(Format::kJunit, parse_format("junit"));
}

}  // namespace
}  // namespace ktstr::testing
