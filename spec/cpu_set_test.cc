#include "spec/cpu_set.h"

#include <gtest/gtest.h>

#include "base/cpu_list.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

TopologyT topology(unsigned numa, unsigned llcs, unsigned cores, unsigned threads) {
  TopologyT t;
  t.numa_nodes = numa;
  t.llcs = llcs;
  t.cores = cores;
  t.threads = threads;
  return t;
}

std::string cpus(std::string_view rule, const TopologyT& t) {
  auto list = resolve_cpu_rule(rule, t);
  return list ? cpu_list(*list) : "error: " + list.error().message();
}

TEST(CpuSetTest, RulesFollowTheTopology) {
  TopologyT t = topology(2, 4, 2, 1);  // 8 CPUs, 2 an LLC, 4 a node
  EXPECT_EQ(cpus("0-3, 5", t), "0-3,5");
  EXPECT_EQ(cpus("llc:0", t), "0-1");
  EXPECT_EQ(cpus("llc:1,3", t), "2-3,6-7");
  EXPECT_EQ(cpus("llc: 1-2", t), "2-5");
  EXPECT_EQ(cpus("numa:1", t), "4-7");
  EXPECT_EQ(cpus("numa:0-1", t), "0-7");
  EXPECT_EQ(cpus("range:0.0-0.5", t), "0-3");
  EXPECT_EQ(cpus("range:0.25-0.375", t), "2");
  EXPECT_EQ(cpus("range:0.9-1", t), "7");
  EXPECT_EQ(cpus("disjoint:0/2", t), "0-3");
  EXPECT_EQ(cpus("disjoint:2/3", t), "4-7") << "the rest goes to the last part";
  EXPECT_EQ(cpus("overlap:0/2:0.5", t), "0-4");
  EXPECT_EQ(cpus("overlap:1/2:0.5", t), "3-7");
  EXPECT_EQ(cpus("overlap:0/2:0", t), "0-3");
  EXPECT_EQ(cpus("overlap:1/4:1", t), "1-4");
  EXPECT_EQ(cpus("llc:0", topology(1, 1, 2, 2)), "0-3") << "threads are CPUs";
}

// Disjoint parts make up all CPUs, each once; neighbours of overlapping parts share some.
TEST(CpuSetTest, PartsCoverEverything) {
  for (unsigned cpus_in_all = 1; cpus_in_all <= 64; ++cpus_in_all) {
    TopologyT t = topology(1, 1, cpus_in_all, 1);
    for (unsigned parts = 1; parts <= cpus_in_all; ++parts) {
      unsigned seen = 0;
      for (unsigned i = 0; i < parts; ++i) {
        auto part = resolve_cpu_rule("disjoint:" + std::to_string(i) + "/" + std::to_string(parts), t);
        ASSERT_TRUE(part.ok());
        ASSERT_FALSE(part->empty());
        for (unsigned cpu : *part) ASSERT_EQ(cpu, seen++);
        auto wide =
            resolve_cpu_rule("overlap:" + std::to_string(i) + "/" + std::to_string(parts) + ":0.5", t);
        ASSERT_TRUE(wide.ok());
        ASSERT_GE(wide->size(), part->size());
        ASSERT_LE(wide->back(), cpus_in_all - 1);
      }
      ASSERT_EQ(seen, cpus_in_all);
    }
  }
}

TEST(CpuSetTest, MistakesSayWhatTheTopologyHas) {
  TopologyT t = topology(1, 2, 2, 1);
  EXPECT_EQ(cpus("llc:2", t), "error: \"llc:2\" names no LLC of the topology, which has 2");
  EXPECT_EQ(cpus("numa:1", t), "error: \"numa:1\" names no NUMA node of the topology, which has 1");
  EXPECT_EQ(cpus("range:0.5-0.5", t), "error: \"range:0.5-0.5\" is not a range of fractions");
  EXPECT_EQ(cpus("range:0-2", t), "error: \"range:0-2\" is not a range of fractions");
  EXPECT_EQ(cpus("range:nan-1", t), "error: \"range:nan-1\" is not a range of fractions");
  EXPECT_EQ(cpus("disjoint:2/2", t), "error: \"disjoint:2/2\" names part 2 of 2");
  EXPECT_EQ(cpus("disjoint:0/0", t), "error: \"disjoint:0/0\" is not a part of some parts");
  EXPECT_EQ(cpus("disjoint:0/5", t), "error: \"disjoint:0/5\" asks for more parts than there are CPUs: 4");
  EXPECT_EQ(cpus("overlap:0/2", t), "error: \"overlap:0/2\" does not end in a fraction");
  EXPECT_EQ(cpus("lcc:0", t), "error: \"lcc:0\" names no CPUs; did you mean \"llc\"?");
  EXPECT_EQ(cpus("4", t), "error: \"4\" names CPU 4, the VM has CPUs 0 to 3");
}

}  // namespace
}  // namespace ktstr
