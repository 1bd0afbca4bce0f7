#include "spec/topologies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "spec/spec.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

std::vector<LoadedTest> tests_on(std::string_view topologies, const std::string& text) {
  auto picked = pick_topologies(topologies);
  EXPECT_TRUE(picked.ok());
  SpecOptions options;
  options.topologies = *picked;
  auto tests = parse_tests(text, "a.toml", options);
  EXPECT_TRUE(tests.ok()) << tests.error().message();
  return tests.ok() ? std::move(*tests) : std::vector<LoadedTest>();
}

TEST(Topologies, TheTableHoldsWhatAVmCanHave) {
  std::set<std::string> names;
  bool odd = false, smt = false, two_nodes = false, four_nodes = false, large = false;
  for (const NamedTopology& t : named_topologies()) {
    EXPECT_TRUE(names.insert(t.name()).second) << t.name() << " is there twice";
    EXPECT_EQ(t.llcs % t.numa_nodes, 0u) << t.name();
    EXPECT_LE(t.cpus(), kMaxVcpus) << t.name();
    odd |= t.llcs % 2 == 1 && t.llcs > 1;
    smt |= t.threads > 1;
    two_nodes |= t.numa_nodes == 2;
    four_nodes |= t.numa_nodes == 4;
    large |= t.cpus() > 200;
  }
  EXPECT_GE(names.size(), 20u);
  EXPECT_TRUE(odd && smt && two_nodes && four_nodes && large);
}

TEST(Topologies, AreChosenByNameOrBySize) {
  EXPECT_EQ(pick_topologies("all")->size(), named_topologies().size());
  const auto small = pick_topologies("small");
  ASSERT_TRUE(small.ok());
  for (const NamedTopology& t : *small) EXPECT_LE(t.cpus(), kSmallTopologyCpus);
  EXPECT_EQ(pick_topologies("1n2l4c1t,small,1n2l4c1t")->front().name(), "1n2l4c1t");
  EXPECT_EQ(pick_topologies("1n7l1c1t")->front().cpus(), 7u) << "any that is well formed";
  for (const char* bad : {"", "big", "1n2l4c", "01n2l4c1t", "2n3l1c1t", "1n1l0c1t", "0n1l1c1t", "1n1l256c1t",
                          "1n1l4c1tx", "1n999l999c999t", "all,", "1n-1l1c1t"})
    EXPECT_FALSE(pick_topologies(bad).ok()) << bad;
  EXPECT_THAT(pick_topologies("smal").error().hint(), HasSubstr("small"));
}

TEST(Topologies, EachTestIsMadeOnceForEach) {
  const auto tests =
      tests_on("1n1l1c1t,1n2l2c1t", "[[test]]\nname = \"a\"\ncores = 3\n[[test]]\nname = \"b\"\n");
  ASSERT_EQ(tests.size(), 4u);
  EXPECT_EQ(tests[0].spec.name, "a[topology=1n1l1c1t]");
  EXPECT_EQ(tests[0].spec.base_name, "a");
  EXPECT_EQ(tests[1].spec.topology->llcs, 2u);
  EXPECT_EQ(tests[1].spec.topology->cores, 2u) << "over the spec's own";
  EXPECT_EQ(tests[3].spec.name, "b[topology=1n2l2c1t]");
}

TEST(Topologies, WhatDoesNotFitIsSkippedWithTheReason) {
  const auto tests =
      tests_on("1n1l1c1t,1n1l4c1t",
               "[[test]]\nname = \"a\"\ncores = 4\n[[test.cgroup]]\nname = \"c\"\ncpuset = \"3\"\n");
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_THAT(tests[0].skip, HasSubstr("does not fit topology 1n1l1c1t: cpuset: \"3\" names CPU 3"));
  EXPECT_EQ(tests[1].skip, "");
}

TEST(Topologies, BoundsOfATestSkipIt) {
  const std::string bounds = "[default]\nmin_cpus = 2\nmax_llcs = 1\n[[test]]\nname = \"a\"\n";
  const auto tests = tests_on("1n1l1c1t,1n1l2c1t,1n2l2c1t", bounds);
  ASSERT_EQ(tests.size(), 3u);
  EXPECT_EQ(tests[0].skip, "wants 2 CPUs or more, the VM has 1");
  EXPECT_EQ(tests[1].skip, "");
  EXPECT_EQ(tests[2].skip, "wants 1 LLC or fewer, the VM has 2");
  auto alone = parse_tests(bounds, "a.toml", {});
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(alone->front().skip, "wants 2 CPUs or more, the VM has 1") << "without --topologies as well";
}

TEST(Sweep, EachSchedulerGetsASpinnerOnEachCpuOfEachTopology) {
  SpecOptions options;
  options.topologies = *pick_topologies("1n1l2c1t,1n2l2c1t");
  options.sweep_s = 2;
  auto tests = parse_tests(
      "[default]\nmax_llcs = 1\nduration_s = 99\n[scheduler.one]\nbinary = \"scx_one\"\nargs = "
      "[\"-v\"]\n[scheduler.two]\nbinary = "
      "\"scx_two\"\nauto_repro = true\n[[test]]\nname = \"own\"\nscheduler = \"one\"\n",
      "a.toml", options);
  ASSERT_TRUE(tests.ok()) << tests.error().message();
  ASSERT_EQ(tests->size(), 4u) << "no test of the file's own";
  const TestSpecT& first = (*tests)[0].spec;
  EXPECT_EQ(first.name, "one[topology=1n1l2c1t]");
  EXPECT_EQ(first.scheduler->args, std::vector<std::string>{"-v"});
  EXPECT_EQ(first.duration_ns, 2'000'000'000u);
  ASSERT_EQ(first.cgroups.size(), 2u);
  EXPECT_EQ(first.cgroups[1]->cpuset, "1");
  EXPECT_EQ((*tests)[1].spec.cgroups.size(), 4u);
  EXPECT_THAT((*tests)[1].skip, HasSubstr("wants 1 LLC or fewer"));
  EXPECT_FALSE((*tests)[2].spec.auto_repro);
  EXPECT_FALSE(parse_tests("[[test]]\nname = \"x\"\n", "a.toml", options).ok()) << "no scheduler";
  EXPECT_FALSE(parse_tests("[scheduler.one]\nbinary = \"x\"\nmemory_mb = 1\n", "a.toml", options).ok());
}

TEST(Workers, AShareIsOfTheCpusThatTheyMayUse) {
  auto workers = [](const std::string& group) {
    auto tests = parse_tests(
        "[[test]]\nname = \"a\"\nllcs = 2\ncores = 5\n[[test.cgroup]]\nname = \"c\"\n" + group, "a.toml", {});
    EXPECT_TRUE(tests.ok()) << tests.error().message();
    return tests.ok() ? tests->front().spec.cgroups[0]->workers : 0;
  };
  EXPECT_EQ(workers("workers = \"90%\"\n"), 9u);
  EXPECT_EQ(workers("workers = \"200%\"\n"), 20u);
  EXPECT_EQ(workers("workers = \"1%\"\n"), 1u);
  EXPECT_EQ(workers("workers = \"100%\"\ncpuset = \"llc:0\"\n"), 5u);
  EXPECT_EQ(workers("workers = \"100%\"\ncpuset = \"llc:0\"\nwork = \"PipeIo\"\n"), 4u) << "whole pairs";
  EXPECT_EQ(workers("workers = \"1%\"\nwork = \"PipeIo\"\n"), 2u);
  for (const char* bad : {"\"0%\"", "\"90\"", "\"%\"", "\"1001%\"", "\"-5%\"", "\"9.5%\"", "0", "1025"})
    EXPECT_FALSE(
        parse_tests(
            std::string("[[test]]\nname = \"a\"\n[[test.cgroup]]\nname = \"c\"\nworkers = ") + bad + "\n",
            "a.toml", {})
            .ok())
        << bad;
}

}  // namespace
}  // namespace ktstr
