// Which smaller specs are tried: against a failure that is a function of the spec.
#include "launcher/search/shrink.h"

#include <gtest/gtest.h>

#include "spec/spec.h"
#include "spec/spec_writer.h"

namespace ktstr {
namespace {

TestSpecT spec_of(const std::string& text) {
  auto tests = parse_tests(text, "s.toml", {});
  EXPECT_TRUE(tests) << (tests ? "" : tests.error().message());
  return tests ? test_to_shrink(tests->front().spec) : TestSpecT();
}

constexpr char kLarge[] = R"(
[scheduler.s]
binary = "scx_s"
args = ["--fault", "1"]
[[test]]
name = "large"
scheduler = "s"
numa_nodes = 2
llcs = 4
cores = 2
threads = 2
min_cpus = 8
duration_s = 5
max_gap_ms = 100
enforce = true
sysctl = { "kernel.sched_schedstats" = 1 }
expect_err = true
expect_scx_bpf_error_contains = "nothing of this kind"
  [[test.cgroup]]
  name = "pipes"
  workers = 8
  work = "PipeIo"
  cpuset = "llc:3"
  [[test.cgroup]]
  name = "forks"
  workers = 6
  work = "ForkExit"
  cpuset = "0-11"
  nice = 5
  [[test.cgroup]]
  name = "spin"
  workers = 16
  [[test.payload]]
  name = "hash"
  binary = "sha256sum"
  [[test.bpf_map_write]]
  map = ".bss"
  value = 1
  at_s = 4
  [[test.step]]
  hold_s = 2
  ops = [{ swap_cpusets = "pipes", with = "forks" }, { add_cgroup = "late" }, { spawn = "late", workers = 4 }, { run = "hash" }]
  [[test.step]]
  hold_s = 2
  ops = [{ stop = "late" }]
)";

struct Shrunk {
  TestSpecT spec;
  unsigned candidates = 0;
};

Shrunk shrink(const std::function<bool(const TestSpecT&)>& fails) {
  TestSpecT start = spec_of(kLarge);
  EXPECT_TRUE(fails(start));
  Shrinker shrinker(start, spec_is_valid);
  Shrunk out;
  while (const Reduction* candidate = shrinker.next()) {
    EXPECT_TRUE(spec_is_valid(candidate->spec)) << candidate->what;
    EXPECT_FALSE(candidate->what.empty());
    shrinker.answer(fails(candidate->spec));
    if (++out.candidates > 2000) break;
  }
  out.spec = shrinker.best();
  return out;
}

TEST(Shrink, WhatFailsAlwaysShrinksToABareTest) {
  const Shrunk shrunk = shrink([](const TestSpecT&) { return true; });
  EXPECT_EQ(spec_text(shrunk.spec),
            "[scheduler.s]\nbinary = \"scx_s\"\nargs = [\"--fault\", \"1\"]\n\n"
            "[[test]]\nname = \"large\"\nscheduler = \"s\"\nduration_s = 0.1\nauto_repro = false\n");
  EXPECT_LT(shrunk.candidates, 30u);
}

TEST(Shrink, WhatFailsOnlyAsItIsStaysAsItIs) {
  const std::string start = spec_text(spec_of(kLarge));
  const Shrunk shrunk = shrink([&](const TestSpecT& spec) { return spec_text(spec) == start; });
  EXPECT_EQ(spec_text(shrunk.spec), start);
}

TEST(Shrink, WhatTheFailureNeedsIsLeftAndNothingElse) {
  // Two CPUs, three workers that fork, and half a second.
  const Shrunk shrunk = shrink([](const TestSpecT& spec) {
    const TopologyT& t = *spec.topology;
    unsigned forking = 0;
    for (const auto& group : spec.cgroups)
      if (group->work == WorkType::ForkExit) forking += group->workers;
    return t.llcs * t.cores * t.threads >= 2 && forking >= 3 && spec.duration_ns >= 500'000'000;
  });
  const TestSpecT& spec = shrunk.spec;
  EXPECT_EQ(spec.topology->llcs * spec.topology->cores * spec.topology->threads, 2u);
  EXPECT_EQ(spec.topology->numa_nodes, 1u);
  ASSERT_EQ(spec.cgroups.size(), 1u);
  EXPECT_EQ(spec.cgroups[0]->name, "forks");
  EXPECT_EQ(spec.cgroups[0]->workers, 3u);
  EXPECT_EQ(spec.cgroups[0]->cpuset, "");
  EXPECT_EQ(spec.cgroups[0]->nice, 0);
  EXPECT_LT(spec.duration_ns, 700'000'000u);
  EXPECT_TRUE(spec.steps.empty() && spec.payloads.empty() && spec.bpf_map_write.empty() &&
              spec.sysctl.empty());
  EXPECT_FALSE(spec.enforce);
}

TEST(Shrink, AnOperationStaysWithTheGroupThatItIsAbout) {
  const Shrunk shrunk = shrink([](const TestSpecT& spec) {
    for (const auto& step : spec.steps)
      for (const auto& op : step->ops)
        if (op->kind == OpKind::SwapCpusets) return true;
    return false;
  });
  ASSERT_EQ(shrunk.spec.steps.size(), 1u);
  ASSERT_EQ(shrunk.spec.steps[0]->ops.size(), 1u);
  EXPECT_EQ(shrunk.spec.cgroups.size(), 2u);
  EXPECT_TRUE(shrunk.spec.payloads.empty());
}

TEST(Shrink, GroupsOfWorkersStayWhole) {
  const Shrunk shrunk = shrink([](const TestSpecT& spec) {
    for (const auto& group : spec.cgroups)
      if (group->work == WorkType::PipeIo && group->workers >= 3) return true;
    return false;
  });
  ASSERT_EQ(shrunk.spec.cgroups.size(), 1u);
  EXPECT_EQ(shrunk.spec.cgroups[0]->workers, 4u);
}

TEST(Shrink, NoSingleReductionIsLeftAtTheEnd) {
  // Needs an even number of workers in all: a failure that one step of the search may hide.
  const auto fails = [](const TestSpecT& spec) {
    unsigned workers = 0;
    for (const auto& group : spec.cgroups) workers += group->workers;
    return workers % 2 == 0 && workers >= 2;
  };
  const Shrunk shrunk = shrink(fails);
  Shrinker again(shrunk.spec, spec_is_valid);
  while (const Reduction* candidate = again.next()) {
    EXPECT_FALSE(fails(candidate->spec)) << candidate->what;
    again.answer(false);
  }
}

}  // namespace
}  // namespace ktstr
