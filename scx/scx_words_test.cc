#include "scx/scx_words.h"

#include <gtest/gtest.h>

#include "schemas/guest_generated.h"
#include "scx/constants.h"
#include "scx/testing/testdata.h"

namespace ktstr {
namespace {

class ScxWordsTest : public ::testing::Test {
 protected:
  template <typename Line>
  void say(const std::string& text) {
    Line line;
    line.text = text;
    words_.fold(make_event({}, std::move(line)));
  }
  template <typename Line>
  void file(const std::string& name) {
    for (const std::string& line : testing::lines_of(name)) say<Line>(line);
  }
  ScxWords words_;
};

TEST_F(ScxWordsTest, TheDumpIsBestAndTheConsoleFillsIn) {
  file<ConsoleLineT>("6.16-scx_stall.console.txt");
  file<DumpLineT>("6.16-scx_stall.dump.txt");
  auto error = words_.error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->source, "sched_ext_dump");
  EXPECT_EQ(error->exit.kind, kScxExitErrorStall);
  EXPECT_EQ(error->exit.ops_name, "stall") << "6.16's dump does not name it";
  const CrashDetectedT crash = to_crash(std::move(*error));
  EXPECT_GT(crash.stall_ns, 2'000'000'000u);
  EXPECT_NE(crash.stall_task_pid, 0);
  EXPECT_FALSE(crash.backtrace.empty());
}

TEST_F(ScxWordsTest, ALostDumpLeavesTheConsole) {
  file<ConsoleLineT>("7.3-scx_demo.console.txt");
  auto error = words_.error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->source, "console");
  EXPECT_EQ(error->exit.kind, 0u) << "the console does not tell it";
  EXPECT_EQ(error->exit.reason, "scx_bpf_error");
}

TEST_F(ScxWordsTest, AnOrderlyEndIsNoError) {
  say<ConsoleLineT>("[    6.473187] sched_ext: BPF scheduler \"x\" disabled (unregistered from BPF)");
  say<SchedulerLineT>("EXIT: unregistered from BPF (no more work)");
  EXPECT_FALSE(words_.error());
  ASSERT_TRUE(words_.console_exit());
  EXPECT_EQ(words_.printed_message(words_.console_exit()->reason), "no more work");
  EXPECT_EQ(words_.printed_message("runtime error"), "");
}

TEST_F(ScxWordsTest, OfTwoOrderlyEndsTheLatestIsTold) {
  const std::string disabled = "sched_ext: BPF scheduler \"x\" disabled (unregistered from the main kernel)";
  say<ConsoleLineT>("[    6.473187] " + disabled);
  say<SchedulerLineT>("EXIT: unregistered from the main kernel (cpu 3 going offline, exiting scheduler)");
  say<ConsoleLineT>("[    9.100000] " + disabled);
  say<SchedulerLineT>("EXIT: unregistered from the main kernel (cpu 3 going online, exiting scheduler)");
  EXPECT_FALSE(words_.error());
  ASSERT_TRUE(words_.console_exit());
  EXPECT_EQ(words_.console_exit()->guest_ns, 9'100'000'000u);
  EXPECT_EQ(words_.printed_message("unregistered from the main kernel"),
            "cpu 3 going online, exiting scheduler");
}

}  // namespace
}  // namespace ktstr
