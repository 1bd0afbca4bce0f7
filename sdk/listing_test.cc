// The list of a test binary: read back by the parser that reads everybody's specs.
#include <gtest/gtest.h>

#include <set>

#include "ktstr/test.h"
#include "schemas/spec_generated.h"
#include "sdk/registry.h"
#include "sdk/work.h"
#include "spec/spec.h"
#include "spec/spec_attributes.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

TestResult nothing(TestContext&) { return pass(); }

Result<std::vector<LoadedTest>> round_trip(const std::vector<RegisteredTest>& tests) {
  auto list = list_as_toml(tests);
  if (!list) return std::move(list).error();
  return parse_tests(*list, "binary", {});
}

TEST(TestList, EveryAttributeOfASpecCanBeSetFromCpp) {
  // All at once, each with a value of its own; then each must have arrived from the test's layer.
  auto options = [] {
    return TestOptions{.scheduler = "scx_x",
                       .expect_err = true,
                       .expect_scx_bpf_error_contains = "text \"quoted\"\n\x01",
                       .expect_scx_bpf_error_matches = R"(a\d+)",
                       .numa_nodes = 2u,
                       .llcs = 4u,
                       .cores = 2u,
                       .threads = 2u,
                       .min_cpus = 1u,
                       .max_cpus = 200u,
                       .min_llcs = 1u,
                       .max_llcs = 100u,
                       .min_numa_nodes = 1u,
                       .max_numa_nodes = 8u,
                       .memory_mb = 2048u,
                       .duration_s = 7.5,
                       .attach_timeout_s = 33.0,
                       .watchdog_timeout_s = 9.0,
                       .kernel = "7.2",
                       .kernels = {">=6.18", "<8"},
                       .extra_args = {"--quoted \"one\""},
                       .files = {"a.json"},
                       .config = "a = \"b\"\n",
                       .config_arg = "-c",
                       .env = {{"RUST_LOG", "info"}, {"A.B", "c"}},
                       .build = "true",
                       .sysctl = {{"kernel.x", "1"}},
                       .kernel_args = {"quiet"},
                       .workers_per_cgroup = 3u,
                       .auto_repro = false,
                       .repro_tries = 2u,
                       .repro_history = 4u,
                       .repro_probes = "light",
                       .not_starved = false,
                       .max_gap_ms = 123.5,
                       .max_spread_pct = 11.0,
                       .isolation = true,
                       .max_throughput_cv = 0.5,
                       .min_work_rate = 10.0,
                       .max_p99_wake_latency_ns = 1e6,
                       .max_wake_latency_cv = 2.0,
                       .min_iteration_rate = 5.0,
                       .max_migration_ratio = 0.25,
                       .max_imbalance_ratio = 3.0,
                       .max_local_dsq_depth = 40u,
                       .fail_on_stall = false,
                       .sustained_samples = 7u,
                       .max_fallback_rate = 100.0,
                       .max_keep_last_rate = 50.0,
                       .enforce = false,
                       .allow_kernel_warnings = {"scx_cgroup_move_task"},
                       .cgroups = {{.name = "g"}}};
  };
  auto tests = round_trip({{"all", "x.cc", 3, options, nothing}});
  ASSERT_TRUE(tests) << tests.error().to_string();
  ASSERT_EQ(tests->size(), 1u);
  std::set<std::string> set;
  for (const Setting& setting : (*tests)[0].settings)
    if (setting.layer == Layer::kTest) set.insert(setting.name);
  for (const Attribute& attribute : test_attributes())
    EXPECT_TRUE(set.contains(std::string(attribute.name))) << attribute.name << ": add it to TestOptions";
  EXPECT_EQ((*tests)[0].spec.expect_scx_bpf_error_contains, "text \"quoted\"\n\x01");
  EXPECT_EQ((*tests)[0].spec.max_gap_ns, 123'500'000u);
  EXPECT_EQ((*tests)[0].spec.kernels, (std::vector<std::string>{">=6.18", "<8"}));
  EXPECT_EQ((*tests)[0].spec.scheduler->args,
            (std::vector<std::string>{"--quoted \"one\"", "-c", "/ktstr/config/scx_x"}));
  EXPECT_EQ((*tests)[0].spec.scheduler->config, "a = \"b\"\n");
  EXPECT_EQ((*tests)[0].spec.sysctl.at(0)->key, "kernel.x");
}

TEST(TestList, ABuildersPinGoesThroughTheGateOfAnyOther) {
  for (const char* pattern : {"a?", "", "(", "\\b", "^$", ".*"}) {
    static std::string current;
    current = pattern;
    auto tests = round_trip({{"t", "x.cc", 3,
                              [] {
                                return TestOptions{
                                    .scheduler = "s",
                                    .expect_err = true,
                                    .assertions = Assert::NO_OVERRIDES.expect_scx_bpf_error_matches(current)};
                              },
                              nothing}});
    EXPECT_FALSE(tests) << pattern;
  }
}

TEST(TestList, AnAttributeOfTheTestGoesBeforeTheAssertions) {
  auto tests = round_trip(
      {{"t", "x.cc", 3,
        [] { return TestOptions{.max_gap_ms = 100, .assertions = Assert::default_checks().max_gap_ms(500)}; },
        nothing}});
  ASSERT_TRUE(tests) << tests.error().to_string();
  EXPECT_EQ((*tests)[0].spec.max_gap_ns, 100'000'000u);
}

TEST(TestList, OneNameTwiceNamesBothPlaces) {
  auto options = [] { return TestOptions{}; };
  auto list = list_as_toml({{"t", "a.cc", 3, options, nothing}, {"t", "b.cc", 9, options, nothing}});
  ASSERT_FALSE(list);
  EXPECT_NE(list.error().message().find("b.cc:9"), std::string::npos);
  EXPECT_NE(list.error().message().find("a.cc:3"), std::string::npos);
}

TEST(TestList, SchedulersThatDifferHaveBlocksOfTheirOwn) {
  static constexpr Scheduler kOne{.name = "s", .binary = "scx_s", .args = {"--a"}};
  static constexpr Scheduler kTwo{.name = "s", .binary = "scx_s", .args = {"--b"}};
  auto tests = round_trip({{"one", "x.cc", 1, [] { return TestOptions{.scheduler = kOne}; }, nothing},
                           {"two", "x.cc", 2, [] { return TestOptions{.scheduler = kTwo}; }, nothing},
                           {"again", "x.cc", 3, [] { return TestOptions{.scheduler = kOne}; }, nothing}});
  ASSERT_TRUE(tests) << tests.error().to_string();
  EXPECT_EQ((*tests)[0].spec.scheduler->args, std::vector<std::string>{"--a"});
  EXPECT_EQ((*tests)[1].spec.scheduler->args, std::vector<std::string>{"--b"});
  EXPECT_NE((*tests)[0].spec.scheduler->name, (*tests)[1].spec.scheduler->name);
  EXPECT_EQ((*tests)[0].spec.scheduler->name, (*tests)[2].spec.scheduler->name);
}

TEST(TestList, TheBuildersDefaultsAreThoseOfASpec) {
  auto bare = round_trip({{"t", "x.cc", 3, [] { return TestOptions{}; }, nothing}});
  auto built = round_trip(
      {{"t", "x.cc", 3, [] { return TestOptions{.assertions = Assert::default_checks()}; }, nothing}});
  ASSERT_TRUE(bare && built);
  EXPECT_EQ((*built)[0].spec.max_gap_ns, (*bare)[0].spec.max_gap_ns);
  EXPECT_EQ((*built)[0].spec.max_spread_pct, (*bare)[0].spec.max_spread_pct);
  EXPECT_EQ((*built)[0].spec.not_starved, (*bare)[0].spec.not_starved);
}

TEST(WorkGroup, ABodysWorkHasTheParametersThatASpecGivesIt) {
  for (WorkType type : EnumValuesWorkType()) {
    if (type == WorkType::Sequence || type == WorkType::Custom) continue;
    const unsigned workers = 20;  // fits pairs, fives and fours
    const std::string name = EnumNameWorkType(type);
    auto tests = parse_tests(
        "[[test]]\nname = \"t\"\n[[test.cgroup]]\nname = \"g\"\nworkers = 20\nwork = \"" + name + "\"\n", "x",
        {});
    ASSERT_TRUE(tests) << tests.error().to_string();
    const CgroupSpecT& spec = *(*tests)[0].spec.cgroups[0];
    auto mine = work_group(name, workers, {});
    ASSERT_TRUE(mine) << mine.error().to_string();
    EXPECT_EQ(mine->work, spec.work);
    EXPECT_EQ(mine->burst_ns, spec.burst_ns) << name;
    for (const WorkNumber& number : work_numbers())
      EXPECT_EQ((*mine).*number.field, spec.*number.field) << name << ": " << number.name;
  }
  EXPECT_FALSE(work_group("PipeIo", 3, {}));
  EXPECT_FALSE(work_group("CpuSpni", 1, {}));
  EXPECT_FALSE(work_group("CpuSpin", 1, {.policy = "fifo"}));
}

TEST(CpuTopology, PlacesAreCpuLists) {
  CpuTopology t{.numa_nodes = 2, .llcs = 4, .cores = 2, .threads = 2};
  EXPECT_EQ(t.all(), "0-15");
  EXPECT_EQ(t.llc(1), "4-7");
  EXPECT_EQ(t.node(1), "8-15");
  EXPECT_EQ(t.range(0, 0.5), "0-7");
  EXPECT_EQ(t.range(0.5, 1), "8-15");
  EXPECT_EQ((CpuTopology{}).all(), "0");
}

}  // namespace
}  // namespace ktstr
