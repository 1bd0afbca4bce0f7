// The reporter alone over recorded logs: whole, torn, damaged, foreign.
#include "reporter/reporter_role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "reporter/testing/synthetic_run.h"
#include "schemas/run_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class RecordedLog : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ktstr-reporter-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    log_ = folder_ / "events.ktlog";
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_, log_;
};

TEST_F(RecordedLog, GivesTheReportOfTheLiveRun) {
  SyntheticRun run = SyntheticRun::demo_crash();
  run.add(FactsCompletedT{}, Vm::Host);
  std::string live = run.text();
  run.add(VerdictT{}, Vm::Host);
  run.add(RunFinishedT{}, Vm::Host);
  run.write_log(log_);
  auto folded = fold_log(log_);
  ASSERT_TRUE(folded.ok());
  EXPECT_EQ("", (*folded)->damage);
  EXPECT_EQ(live, make_report((*folded)->model).text);
}

TEST_F(RecordedLog, UntilShowsWhatWasKnownThen) {
  SyntheticRun run = SyntheticRun::good();
  run.write_log(log_);
  auto early = fold_log(log_, 9);
  ASSERT_TRUE(early.ok());
  Report report = make_report((*early)->model);
  EXPECT_THAT(report.text, HasSubstr("note: as known after event 9"));
  EXPECT_EQ(Outcome::Inconclusive, report.judgement.outcome);
  auto late = fold_log(log_, 1'000'000);
  EXPECT_EQ(run.text(), make_report((*late)->model).text);
}

TEST_F(RecordedLog, TornAnywhereStillGivesAReport) {
  SyntheticRun::demo_crash().write_log(log_);
  const auto size = fs::file_size(log_);
  for (auto cut : {size - 1, size / 2, size / 3, uintmax_t{33}, uintmax_t{32}}) {
    fs::resize_file(log_, cut);
    auto folded = fold_log(log_);
    ASSERT_TRUE(folded.ok()) << cut;
    EXPECT_EQ(cut == 32, (*folded)->damage.empty()) << cut;
    Report report = make_report((*folded)->model);
    EXPECT_NE(Outcome::Pass, report.judgement.outcome);
    EXPECT_THAT(report.text, HasSubstr("the run did not finish"));
  }
}

TEST_F(RecordedLog, FlippedBitIsToldWithItsOffset) {
  SyntheticRun::good().write_log(log_);
  std::fstream file(log_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(log_) / 2));
  file.put('\x7f');
  file.put('\x01');
  file.close();
  auto folded = fold_log(log_);
  ASSERT_TRUE(folded.ok());
  EXPECT_THAT((*folded)->damage, HasSubstr("offset"));
  EXPECT_EQ(Outcome::Inconclusive, make_report((*folded)->model).judgement.outcome);
}

TEST_F(RecordedLog, ForeignOrMissingFileIsRefused) {
  EXPECT_FALSE(fold_log(log_).ok());
  std::ofstream(log_) << "this is some other file, longer than a header would be\n";
  EXPECT_FALSE(fold_log(log_).ok());
}

}  // namespace
}  // namespace ktstr::testing
