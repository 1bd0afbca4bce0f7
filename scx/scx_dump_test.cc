#include "scx/scx_dump.h"

#include <gtest/gtest.h>

#include "scx/constants.h"
#include "scx/testing/testdata.h"

namespace ktstr {
namespace {

ScxDump parse(const std::vector<std::string>& lines) {
  ScxDump dump;
  for (const std::string& line : lines) dump.feed(line);
  return dump;
}

TEST(ScxDump, StallOnAKernelWithSubSchedulers) {
  ScxDump dump = parse(testing::lines_of("scx_stall.dump.txt"));
  ASSERT_TRUE(dump.exit());
  EXPECT_EQ(1026u, dump.exit()->kind);
  EXPECT_EQ("kworker/u16:2", dump.exit()->comm);
  EXPECT_EQ("runnable task stall", dump.exit()->reason);
  EXPECT_EQ("pipe_7[125] failed to run for 2.964s", dump.exit()->message);
  const DumpTask* stuck = dump.find(125);
  ASSERT_TRUE(stuck);
  EXPECT_EQ("pipe_7", stuck->comm);
  EXPECT_EQ(3, stuck->cpu);
  EXPECT_EQ(-2964, stuck->runnable_ms);
  EXPECT_EQ("", stuck->dsq());
  EXPECT_EQ("2/18", stuck->fields.get("ops_state/qseq"));
  EXPECT_TRUE(stuck->held_by_scheduler());
  EXPECT_FALSE(dump.find(118)->held_by_scheduler());
  EXPECT_EQ(10u, dump.total_tasks());
  EXPECT_EQ("0x100", dump.find(118)->dsq());
}

TEST(ScxDump, OlderKernelWithoutThem) {
  ScxDump dump = parse(testing::lines_of("bpf_error-6.16.dump.txt"));
  ASSERT_TRUE(dump.exit());
  EXPECT_EQ("scx_bpf_error", dump.exit()->reason);
  EXPECT_EQ("test triggering error", dump.exit()->message);
  const DumpTask* current = dump.find(214);
  ASSERT_TRUE(current);
  EXPECT_TRUE(current->current);
  EXPECT_EQ('R', current->state);
  EXPECT_EQ(-76, current->runnable_ms);
}

TEST(ScxDump, CommWithBrackets) {
  ScxDump dump = parse({"CPU 1   : nr_run=5 flags=0x1", "  R a[1] b[22] *root -48ms"});
  ASSERT_EQ(1u, dump.tasks().size());
  EXPECT_EQ(1, dump.tasks()[0].cpu);
}

TEST(ScxDump, NonsenseIsNoTask) {
  ScxDump dump =
      parse({"CPU x: nr_run=", "  R [] ms", "  R x[ -1ms", "] -3ms", "  R x[99999999999] -1ms", " ", ""});
  EXPECT_EQ(0u, dump.total_tasks());
  EXPECT_FALSE(dump.exit());
}

TEST(ScxDump, TheWholeOfADumpIsOneResult) {
  ScxDump dump = parse(testing::lines_of("7.3-scx_demo.dump.txt"));
  ASSERT_TRUE(dump.exit());
  EXPECT_EQ(kScxExitErrorBpf, dump.exit()->kind);
  EXPECT_EQ("demo_charge", dump.exit()->backtrace[2].function);
  ASSERT_EQ(4u, dump.cpus().size());
  EXPECT_EQ(2, dump.cpus()[0].cpu);
  EXPECT_EQ("pipe_7b[127]", dump.cpus()[0].curr);
  EXPECT_EQ("3", dump.cpus()[0].fields.get("nr_run"));
  EXPECT_EQ("ext_sched_class", dump.cpus()[0].fields.get("class"));
  const DumpTask* task = dump.find(127);
  ASSERT_TRUE(task);
  EXPECT_EQ("20000000", task->fields.get("slice"));
  EXPECT_EQ("0", task->fields.get("no_mig"));
  EXPECT_EQ("", task->dsq()) << "(n/a)";
}

// A scheduler prints what it likes behind the kernel's words of a task (ops.dump_task).
TEST(ScxDump, ASchedulersOwnWordsAreNoFields) {
  ScxDump dump =
      parse({"CPU 0   : nr_run=1 flags=0x1", "          curr=a b[7] class=ext_sched_class", "",
             " *R a b[7] +0ms", "      dsq_vtime=0 slice=5 weight=100", "", "    slice=9 x=1", ""});
  ASSERT_EQ(1u, dump.tasks().size());
  EXPECT_EQ("5", dump.tasks()[0].fields.get("slice"));
  EXPECT_EQ("", dump.tasks()[0].fields.get("x"));
  EXPECT_EQ("a b[7]", dump.cpus()[0].curr);
}

TEST(ScxDump, EndlessCpusTasksAndFieldsAreBounded) {
  ScxDump dump;
  for (int i = 0; i < 20'000; ++i) {
    dump.feed("CPU 1   : nr_run=5 flags=0x1");
    dump.feed("  R x[22] -48ms");
    for (int k = 0; k < 30; ++k) dump.feed("   k" + std::to_string(k) + "=v");
  }
  EXPECT_EQ(ScxDump::kMaxCpus, dump.cpus().size());
  EXPECT_EQ(ScxDump::kMaxTasks, dump.tasks().size());
  EXPECT_EQ(20'000u, dump.total_tasks());
  EXPECT_EQ("v", dump.tasks()[0].fields.get("k23"));
  EXPECT_EQ("", dump.tasks()[0].fields.get("k24"));
}

}  // namespace
}  // namespace ktstr
