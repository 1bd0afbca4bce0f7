// One run as a process: its command, its end, and how it is interrupted.
#include "launcher/search/trial.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "base/clock.h"
#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

TEST(Trial, TheCommandIsTheOneThatAUserGives) {
  const auto argv = trial_command({.specs = {"s.toml"},
                                   .filters = {"test(=a)"},
                                   .scheduler_dirs = {"bin"},
                                   .kernel = "7.3",
                                   .seed = 17,
                                   .strategy = "few",
                                   .drop = "window:1",
                                   .options = {"--no-build"}});
  std::string line;
  for (const auto& word : argv) line += word + " ";
  EXPECT_EQ(line,
            "ktstr-launch run s.toml -E test(=a) --scheduler-dir bin --kernel 7.3 --deterministic --seed 17 "
            "--strategy few --drop "
            "window:1 --no-build ");
}

TEST(Trial, FailuresAreComparedBySignatureElseBySummaryWithoutItsNumbers) {
  TrialEnd crash{.exit_code = 1, .summary = "failed", .signature = "0x401 x"};
  EXPECT_EQ(failure_of(crash), "0x401 x");
  TrialEnd slow{.exit_code = 1, .summary = "worker a/0[120] had a gap of 3100 ms"};
  TrialEnd slower{.exit_code = 1, .summary = "worker a/0[133] had a gap of 4200 ms"};
  EXPECT_EQ(failure_of(slow), failure_of(slower));
  EXPECT_NE(failure_of(slow), "");
  EXPECT_EQ(failure_of({.exit_code = 0, .summary = "passed"}), "");
  EXPECT_EQ(failure_of({.exit_code = 3, .summary = "QEMU did not start"}), "");
  EXPECT_NE(trial_text({.exit_code = 2, .words = "error: no such spec"}).find("no such spec"),
            std::string::npos);
}

// A program in the place of ktstr-launch.
class TrialsTest : public testing::Test {
 protected:
  Trials::Ended run(Trials& trials) {
    EXPECT_TRUE(trials.start(7, {.specs = {"s.toml"}}, dir_ / "run"));
    return trials.wait();
  }
  TempDirForTest dir_;
};

TEST_F(TrialsTest, ARunWithoutALogIsToldByItsExitCodeAndWords) {
  Trials trials(dir_.write(
      "launch", "#!/bin/sh\necho progress\necho 'error: bad spec' >&2\necho more\nexit 2\n", true));
  const auto ended = run(trials);
  EXPECT_EQ(ended.id, 7u);
  EXPECT_EQ(ended.end.exit_code, 2);
  EXPECT_EQ(ended.end.words, "error: bad spec");
  EXPECT_EQ(ended.end.logs, 0u);
}

TEST_F(TrialsTest, ASignalInterruptsTheRunAndIsRemembered) {
  Trials trials(dir_.write(
      "launch", "#!/bin/sh\ntrap 'exit 130' INT\nkill -TERM $PPID\nwhile :; do sleep 0.05; done\n", true));
  const auto ended = run(trials);
  EXPECT_EQ(ended.end.exit_code, 130);
  EXPECT_EQ(trials.signal(), SIGTERM);
  EXPECT_TRUE(trials.ending());
}

TEST_F(TrialsTest, TheEndOfTheTimeInterruptsTheRun) {
  Trials trials(dir_.write("launch", "#!/bin/sh\ntrap 'exit 130' INT\nwhile :; do sleep 0.05; done\n", true));
  trials.end_at(now_ns() + 200 * kMs);
  EXPECT_EQ(run(trials).end.exit_code, 130);
  EXPECT_TRUE(trials.out_of_time());
  EXPECT_EQ(trials.signal(), 0);
}

}  // namespace
}  // namespace ktstr
