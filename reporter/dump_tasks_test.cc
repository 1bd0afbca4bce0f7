#include "scx/dump_tasks.h"

#include <gtest/gtest.h>

#include "reporter/names.h"
#include "reporter/testing/synthetic_run.h"

namespace ktstr {
namespace {

DumpTasks parse(const std::vector<std::string>& lines) {
  DumpTasks tasks;
  for (const std::string& line : lines) tasks.line(line);
  return tasks;
}

TEST(DumpTasks, StallOnAKernelWithSubSchedulers) {
  DumpTasks dump = parse(testing::sample("scx_stall.dump.txt"));
  ASSERT_TRUE(dump.header());
  EXPECT_EQ(1026u, dump.header()->exit_kind);
  EXPECT_EQ("kworker/u16:2", dump.header()->comm);
  EXPECT_EQ("runnable task stall", dump.header()->reason);
  EXPECT_EQ("pipe_7[125] failed to run for 2.964s", dump.header()->message);
  const DumpTask* stuck = dump.find(125);
  ASSERT_TRUE(stuck);
  EXPECT_EQ("pipe_7", stuck->comm);
  EXPECT_EQ(3, stuck->cpu);
  EXPECT_EQ(-2964, stuck->runnable_ms);
  EXPECT_EQ("", stuck->dsq);
  EXPECT_EQ("2/18", stuck->ops_state);
  EXPECT_EQ(10u, dump.total());
  EXPECT_EQ("0x100", dump.find(118)->dsq);
}

TEST(DumpTasks, OlderKernelWithoutThem) {
  DumpTasks dump = parse(testing::sample("bpf_error-6.16.dump.txt"));
  ASSERT_TRUE(dump.header());
  EXPECT_EQ("scx_bpf_error", dump.header()->reason);
  EXPECT_EQ("test triggering error", dump.header()->message);
  const DumpTask* current = dump.find(214);
  ASSERT_TRUE(current);
  EXPECT_TRUE(current->current);
  EXPECT_EQ('R', current->state);
  EXPECT_EQ(-76, current->runnable_ms);
}

TEST(DumpTasks, CommWithBrackets) {
  DumpTasks dump = parse({"CPU 1   : nr_run=5 flags=0x1", "  R a[1] b[22] *root -48ms"});
  ASSERT_EQ(1u, dump.tasks().size());
  EXPECT_EQ(1, dump.tasks()[0].cpu);
}

TEST(DumpTasks, NonsenseIsNoTask) {
  DumpTasks dump =
      parse({"CPU x: nr_run=", "  R [] ms", "  R x[ -1ms", "] -3ms", "  R x[99999999999] -1ms", " ", ""});
  EXPECT_EQ(0u, dump.total());
  EXPECT_FALSE(dump.header());
}

TEST(Names, DispatchQueues) {
  EXPECT_EQ("DSQ 0x100", dsq_name("0x100"));
  EXPECT_EQ("the global DSQ", dsq_name("0x8000000000000001"));
  EXPECT_EQ("CPU 3's local DSQ", dsq_name("0xc000000000000003"));
  EXPECT_EQ("DSQ what", dsq_name("what"));
}

}  // namespace
}  // namespace ktstr
