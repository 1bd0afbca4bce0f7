// Against real dumps and console output of four kernels (testdata/), and against texts made to confuse.
#include "scx/scx_exit_parser.h"

#include <gtest/gtest.h>

#include "scx/testing/testdata.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

std::optional<ScxExit> parse_dump(const std::string& name) {
  ScxExitParser parser;
  for (const auto& line : testing::lines_of(name)) parser.feed(line);
  return parser.result();
}

std::optional<ScxExit> parse_console(const std::string& name) {
  ScxConsoleParser parser;
  for (const auto& line : testing::lines_of(name)) {
    const StampedText stamped = split_stamp(line);
    parser.feed(stamped.text, stamped.guest_ns);
  }
  return parser.result();
}

TEST(ScxExitParser, BpfErrorOf73) {
  auto exit = parse_dump("7.3-scx_demo.dump.txt");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->is_error());
  EXPECT_EQ(exit->kind, 1025u);
  EXPECT_EQ(exit->reason, "scx_bpf_error");
  EXPECT_EQ(exit->message, "demo: budget of 500 enqueues spent by yield_0[118] on cpu 2");
  EXPECT_EQ(exit->ops_name, "demo");
  EXPECT_GE(exit->cpu, 0);  // 7.3 prints it
  ASSERT_GE(exit->backtrace.size(), 6u);
  EXPECT_EQ(exit->backtrace[0].function, "scx_exit_bstr");
  EXPECT_EQ(exit->backtrace[2].function, "demo_charge");
  EXPECT_EQ(exit->backtrace[2].tag.size(), 16u);
}

TEST(ScxExitParser, StallOf616) {
  auto exit = parse_dump("6.16-scx_stall.dump.txt");
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->kind, 1026u);
  EXPECT_EQ(exit->reason, "runnable task stall");
  EXPECT_TRUE(exit->comm.starts_with("kworker/"));
  EXPECT_TRUE(exit->message.ends_with("s")) << exit->message;
}

TEST(ScxExitParser, RuntimeErrorOf618HasTheWholeChain) {
  auto exit = parse_dump("6.18-scx_dispatch_loop.dump.txt");
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->kind, 1024u);
  EXPECT_EQ(exit->reason, "runtime error");
  EXPECT_EQ(exit->message, "dispatch buffer overflow");
  EXPECT_EQ(exit->backtrace.front().function, "scx_bpf_dsq_insert");
  EXPECT_EQ(exit->backtrace.back().function, "entry_SYSCALL_64_after_hwframe");
}

TEST(ScxExitParser, SchedulersOwnPrintOfTheDump) {
  auto exit = parse_dump("7.2-scx_bad_dsq.output.txt");
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->kind, 1024u);
  EXPECT_TRUE(exit->message.starts_with("non-existent DSQ 0xbad"));
  EXPECT_EQ(exit->ops_name, "bad_dsq");
  EXPECT_FALSE(exit->backtrace.empty());
}

TEST(ScxExitParser, CpuComesFromTheTraceEventWhereTheHeaderHasNone) {
  ScxExitParser parser;
  parser.feed("cg_0/1[77] triggered exit kind 1025:", {.pid = 77, .cpu = 3, .guest_ns = 5});
  EXPECT_EQ(parser.result()->cpu, 3);
  EXPECT_EQ(parser.result()->guest_ns, 5u);
  ScxExitParser other;  // taken elsewhere: the CPU is not known
  other.feed("cg_0/1[77] triggered exit kind 1025:", {.pid = 9, .cpu = 3});
  EXPECT_EQ(other.result()->cpu, -1);
}

TEST(ScxExitParser, MessagesWithParenthesesAndLineBreaks) {
  ScxExitParser parser;
  parser.feed("a b[c][12] triggered exit kind 1025:");
  parser.feed("  scx_bpf_error (apply_cell_config returned -EINVAL (cell 3)");
  parser.feed("second line)");
  parser.feed("");
  parser.feed("Backtrace:");
  parser.feed("  foo+0x1/0x2");
  parser.feed("");
  parser.feed("  bar+0x1/0x2");  // of a task, not of the crash
  auto exit = parser.result();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->comm, "a b[c]");
  EXPECT_EQ(exit->message, "apply_cell_config returned -EINVAL (cell 3) second line");
  EXPECT_EQ(exit->backtrace.size(), 1u);
}

TEST(ScxExitParser, OrderlyEndIsNoErrorAndGivesWayToOne) {
  ScxExitParser parser;
  parser.feed("EXIT: unregistered from user space");
  ASSERT_TRUE(parser.result());
  EXPECT_FALSE(parser.result()->is_error());
  parser.feed("EXIT: runtime error (invalid DSQ)");
  EXPECT_TRUE(parser.result()->is_error());
  EXPECT_EQ(parser.result()->message, "invalid DSQ");
}

TEST(ScxExitParser, EndlessHeadersAndFramesAreBounded) {
  ScxExitParser parser;
  for (int i = 0; i < 100'000; ++i) parser.feed("x[1] triggered exit kind 64:");
  parser.feed("  reason (message)");
  parser.feed("Backtrace:");
  for (int i = 0; i < 100'000; ++i) parser.feed("  f+0x1/0x2");
  EXPECT_LE(parser.result()->backtrace.size(), 256u);
}

TEST(ScxConsoleParser, ErrorWithItsTrace) {
  auto exit = parse_console("7.3-scx_demo.console.txt");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->is_error());
  EXPECT_EQ(exit->ops_name, "demo");
  EXPECT_EQ(exit->reason, "scx_bpf_error");
  EXPECT_EQ(exit->message, "demo: budget of 500 enqueues spent by yield_0[118] on cpu 2");
  EXPECT_GT(exit->guest_ns, 4'000'000'000u);
  EXPECT_EQ(exit->backtrace[2].function, "demo_charge");
  EXPECT_EQ(exit->backtrace.back().function, "entry_SYSCALL_64_after_hwframe");
}

TEST(ScxConsoleParser, UnregistrationIsNoError) {
  auto exit = parse_console("7.3-scx_segv.console.txt");
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->reason, "unregistered from user space");
  EXPECT_FALSE(exit->is_error());
}

// The reporter's own copy of the console's grammar took every reason that it did not know for a crash.
TEST(ScxConsoleParser, AParentThatExitsIsNoError) {
  ScxConsoleParser parser;
  parser.feed("sched_ext: BPF scheduler \"child\" disabled (parent exiting)", 1);
  ASSERT_TRUE(parser.result());
  EXPECT_EQ(parser.result()->known_kind(), kScxExitParent);
  EXPECT_FALSE(parser.result()->is_error());
  ScxConsoleParser newer;  // an error of 7.3, whose trace was lost
  newer.feed("sched_ext: BPF scheduler \"x\" disabled (reenqueue limit)", 1);
  EXPECT_TRUE(newer.result()->is_error());
}

TEST(SplitStamp, Variants) {
  EXPECT_EQ(split_stamp("[    1.234567] hello").guest_ns, 1'234'567'000u);
  EXPECT_EQ(split_stamp("[    1.234567] hello").text, "hello");
  EXPECT_EQ(split_stamp("[    1.234567][   T12] hello").text, "hello");
  EXPECT_EQ(split_stamp("[    1.234567]    indented").text, "   indented");
  EXPECT_EQ(split_stamp("[demo] enqueued").guest_ns, 0u);
  EXPECT_EQ(split_stamp("[demo] enqueued").text, "[demo] enqueued");
  EXPECT_EQ(split_stamp("").text, "");
  EXPECT_EQ(split_stamp("[").text, "[");
  EXPECT_EQ(split_stamp("[    1.234567]").text, "");
}

}  // namespace
}  // namespace ktstr
