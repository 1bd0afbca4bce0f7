#include "spec/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "schemas/limits.h"
#include "schemas/spec_generated.h"
#include "spec/spec_attributes.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

// Knows a few binaries, no file system.
class FakeFinder : public BinaryFinder {
 public:
  Result<std::string> find(const std::string& binary, const std::string&) const override {
    ++calls;
    if (binary == "scx_demo") return std::string("/opt/sched/scx_demo");
    return Error::not_found("scheduler binary \"" + binary + "\" not found; looked for: /nowhere");
  }
  mutable int calls = 0;
};

constexpr std::string_view kGood = R"([default]
memory_mb = 512
max_gap_ms = 1500.5

[scheduler.demo]
binary = "scx_demo"
args = ["--fail-after", "500"]
memory_mb = 768
duration_s = 9

[[test]]
name = "enqueue_crash"
scheduler = "demo"
numa_nodes = 2
llcs = 2
cores = 2
threads = 1
duration_s = 2.5
workers_per_cgroup = 4
expect_err = true
expect_scx_bpf_error_contains = "enqueue failed"
expect_scx_bpf_error_matches = '(?m)enqueue failed after \d+$'
  [[test.cgroup]]
  name = "cg_0"
  work = "YieldHeavy"
  cpuset = "0-1, 3"
  [[test.cgroup]]
  name = "cg_1"
  workers = 2
  work = "Bursty"
  burst_ms = 0.5
  pause_ms = 3

[[test]]
name = "plain"
)";

Result<std::vector<LoadedTest>> parse(std::string_view text) {
  FakeFinder finder;
  return parse_tests(text, "a.toml", {.binaries = &finder});
}

// The whole message of a spec that must be refused.
std::string refusal(std::string_view text) {
  auto tests = parse(text);
  if (tests.ok()) return "(accepted)";
  EXPECT_EQ(tests.error().kind(), ErrorKind::kInvalid);
  return tests.error().message();
}

TEST(TestSpecTest, ReadsEveryPart) {
  auto tests = parse(kGood);
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  ASSERT_EQ(tests->size(), 2u);
  const TestSpecT& spec = (*tests)[0].spec;
  EXPECT_EQ(spec.name, "enqueue_crash");
  EXPECT_EQ(spec.file, "a.toml");
  EXPECT_EQ(spec.line, 11u);
  ASSERT_TRUE(spec.scheduler);
  EXPECT_EQ(spec.scheduler->name, "demo");
  EXPECT_EQ(spec.scheduler->binary, "scx_demo");
  EXPECT_EQ(spec.scheduler->host_path, "/opt/sched/scx_demo");
  EXPECT_EQ(spec.scheduler->guest_path, "/ktstr/sched/scx_demo");
  EXPECT_EQ(spec.scheduler->args, (std::vector<std::string>{"--fail-after", "500"}));
  EXPECT_EQ(spec.topology->numa_nodes, 2u);
  EXPECT_EQ(spec.topology->llcs, 2u);
  EXPECT_EQ(spec.topology->cores, 2u);
  EXPECT_EQ(spec.topology->threads, 1u);
  EXPECT_EQ(spec.duration_ns, 2500000000u);
  EXPECT_EQ(spec.memory_mb, 768u);
  EXPECT_EQ(spec.max_gap_ns, 1500500000u);
  EXPECT_TRUE(spec.expect_err);
  EXPECT_EQ(spec.expect_scx_bpf_error_contains, "enqueue failed");
  EXPECT_EQ(spec.expect_scx_bpf_error_matches, "(?m)enqueue failed after \\d+$");
  ASSERT_EQ(spec.cgroups.size(), 2u);
  EXPECT_EQ(spec.cgroups[0]->name, "cg_0");
  EXPECT_EQ(spec.cgroups[0]->workers, 4u);
  EXPECT_EQ(spec.cgroups[0]->work, WorkType::YieldHeavy);
  EXPECT_EQ(spec.cgroups[0]->cpuset, "0-1,3");
  EXPECT_EQ(spec.cgroups[1]->workers, 2u);
  EXPECT_EQ(spec.cgroups[1]->work, WorkType::Bursty);
  EXPECT_EQ(spec.cgroups[1]->burst_ns, 500000u);
  EXPECT_EQ(spec.cgroups[1]->pause_ns, 3000000u);

  const TestSpecT& plain = (*tests)[1].spec;
  EXPECT_FALSE(plain.scheduler);
  EXPECT_EQ(plain.memory_mb, 512u);
  EXPECT_EQ(plain.duration_ns, 5000000000u);
  EXPECT_TRUE(plain.auto_repro);
  EXPECT_TRUE(plain.cgroups.empty());
}

TEST(TestSpecTest, SettingsSayWhichLayerWon) {
  auto tests = parse(kGood);
  ASSERT_TRUE(tests.ok());
  auto setting = [](const LoadedTest& test, std::string_view name) {
    for (const Setting& s : test.settings)
      if (s.name == name) return s.value + " | " + origin_text(s, test.spec);
    return std::string("(none)");
  };
  const LoadedTest& first = (*tests)[0];
  EXPECT_EQ(setting(first, "duration_s"), "2.5 | a.toml:18 [[test]]");
  EXPECT_EQ(setting(first, "memory_mb"), "768 | a.toml:8 [scheduler.demo]");
  EXPECT_EQ(setting(first, "max_gap_ms"), "1500.5 | a.toml:3 [default]");
  EXPECT_EQ(setting(first, "auto_repro"), "true | built in");
  EXPECT_EQ(setting(first, "expect_scx_bpf_error_matches"),
            R"("(?m)enqueue failed after \\d+$" | a.toml:22 [[test]])");
  EXPECT_EQ(first.settings.size(), test_attributes().size());
  EXPECT_EQ(setting((*tests)[1], "memory_mb"), "512 | a.toml:2 [default]");
  EXPECT_EQ(setting((*tests)[1], "workers_per_cgroup"), "1 | built in");
}

TEST(TestSpecTest, ABinaryIsLookedForOnceAndOnlyWhenAsked) {
  FakeFinder finder;
  std::string text =
      "[scheduler.a]\nbinary = \"scx_demo\"\n[scheduler.unused]\nbinary = \"gone\"\n"
      "[[test]]\nname = \"x\"\nscheduler = \"a\"\n[[test]]\nname = \"y\"\nscheduler = \"a\"\n";
  auto tests = parse_tests(text, "a.toml", {.binaries = &finder});
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  EXPECT_EQ(finder.calls, 1);
  EXPECT_EQ((*tests)[1].spec.scheduler->host_path, "/opt/sched/scx_demo");
  auto unresolved = parse_tests(text, "a.toml", {});
  ASSERT_TRUE(unresolved.ok());
  EXPECT_EQ((*unresolved)[0].spec.scheduler->host_path, "");
}

TEST(TestSpecTest, ADefaultSchedulerCanBeTakenBack) {
  auto tests = parse(
      "[default]\nscheduler = \"a\"\n[scheduler.a]\nbinary = \"scx_demo\"\n"
      "[[test]]\nname = \"x\"\n[[test]]\nname = \"y\"\nscheduler = \"none\"\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  EXPECT_TRUE((*tests)[0].spec.scheduler);
  EXPECT_FALSE((*tests)[1].spec.scheduler);
}

// What an author gets unasked is not what a log of an older version means by an absent field.
TEST(TestSpecTest, DefaultsOfChecksAreTheAuthorsNotTheLogs) {
  auto tests = parse("[[test]]\nname = \"x\"\n");
  ASSERT_TRUE(tests.ok());
  const TestSpecT& spec = (*tests)[0].spec;
  EXPECT_EQ(spec.max_gap_ns, 2'000'000'000u);
  EXPECT_EQ(spec.max_spread_pct, 0) << "a scheduler may be unfair by design";
  EXPECT_EQ(spec.max_imbalance_ratio, 4);
  EXPECT_EQ(spec.max_local_dsq_depth, 50u);
  EXPECT_EQ(spec.sustained_samples, 5u);
  EXPECT_EQ(spec.max_fallback_rate, 200);
  EXPECT_EQ(spec.max_keep_last_rate, 100);
  EXPECT_TRUE(spec.fail_on_stall);
  EXPECT_FALSE(spec.enforce) << "accuses nobody of a design";
  EXPECT_FALSE(spec.isolation);
  EXPECT_EQ(TestSpecT().max_gap_ns, 0u);
  EXPECT_FALSE(TestSpecT().enforce);
}

TEST(TestSpecTest, MapWritesKeepWhatTheAuthorWrote) {
  auto tests = parse(
      "[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n"
      "  [[test.bpf_map_write]]\n  map = \".bss\"\n  field = \"limit\"\n  value = 18\n"
      "  [[test.bpf_map_write]]\n  map = \"cfg\"\n  key = 3\n  value = \"MODE_FAST\"\n  at_s = 1.5\n"
      "  [[test.bpf_map_write]]\n  map = \"on\"\n  value = true\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  const auto& writes = (*tests)[0].spec.bpf_map_write;
  ASSERT_EQ(writes.size(), 3u);
  EXPECT_EQ(writes[0]->map, ".bss");
  EXPECT_EQ(writes[0]->field, "limit");
  EXPECT_EQ(writes[0]->value, "18");
  EXPECT_EQ(writes[0]->at_ns, 0u);
  EXPECT_EQ(writes[1]->key, "3");
  EXPECT_EQ(writes[1]->value, "MODE_FAST");
  EXPECT_EQ(writes[1]->at_ns, 1'500'000'000u);
  EXPECT_EQ(writes[1]->line, 10u);
  EXPECT_EQ(writes[2]->value, "true");
}

struct Refused {
  std::string_view text;
  std::string_view message;
};

// One error each; the message is the whole answer.
const Refused kRefused[] = {
    {"", "a.toml: no [[test]] in it; a spec needs one at least"},
    {"[default]\nmemory_mb = 512\n", "a.toml: no [[test]] in it; a spec needs one at least"},
    {"[[test]]\nname = \"x\"\nworker = 3\n",
     "a.toml:3: unknown attribute \"worker\" in [[test]]; did you mean \"workers_per_cgroup\"?"},
    {"[[test]]\nname = \"x\"\nduration = 3\n",
     "a.toml:3: unknown attribute \"duration\" in [[test]]; did you mean \"duration_s\"?"},
    {"[[test]]\nname = \"x\"\nautorepro = true\n",
     "a.toml:3: unknown attribute \"autorepro\" in [[test]]; did you mean \"auto_repro\"?"},
    {"[[test]]\nname = \"x\"\nzzzzzz = 3\n",
     "a.toml:3: unknown attribute \"zzzzzz\" in [[test]]; docs/specs.md lists all attributes"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nauto_repro = true\n",
     "a.toml:5: unknown attribute \"auto_repro\" in [[test.cgroup]]; it belongs in [[test]]"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nwork = \"CpuSpinn\"\n",
     "a.toml:5: unknown work type \"CpuSpinn\"; did you mean \"CpuSpin\"?"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nwork = \"Sleepy\"\n",
     "a.toml:5: unknown work type \"Sleepy\"; there are CpuSpin, YieldHeavy, Mixed, Bursty, PipeIo, "
     "FutexPingPong, ForkExit, IoSync, CachePressure, CacheYield, CachePipe, FutexFanOut, Sequence, "
     "NiceSweep, "
     "AffinityChurn, PolicyChurn, FanOutCompute, PageFaultChurn, MutexContention, Custom"},
    {"[[test]]\nname = \"x\"\nmax_imbalence_ratio = 2.0\n",
     "a.toml:3: unknown attribute \"max_imbalence_ratio\" in [[test]]; did you mean "
     "\"max_imbalance_ratio\"?"},
    {"[[test]]\nname = \"x\"\nkernel = \"\"\n",
     "a.toml:3: kernel = \"\" names no kernel; leave it out: the run's is taken"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n"
     "[[test.bpf_map_write]]\nmap = \".bss\"\nvlaue = 3\nvalue = 3\n",
     "a.toml:8: unknown attribute \"vlaue\" in [[test.bpf_map_write]]; did you mean \"value\"?"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n"
     "[[test.bpf_map_write]]\nmap = \".bss\"\n",
     "a.toml:6: [[test.bpf_map_write]] has no value; add value = …"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\nduration_s = 2\n"
     "[[test.bpf_map_write]]\nmap = \".bss\"\nvalue = 3\nat_s = 2\n",
     "a.toml:10: at_s = 2 is not before the workload's end; duration_s is 2"},
    {"[[test]]\nname = \"x\"\n[[test.bpf_map_write]]\nmap = \".bss\"\nvalue = 3\n",
     "a.toml:3: [[test.bpf_map_write]] in a test without a scheduler: there are no maps; add scheduler = "
     "\"…\""},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nnice = 20\n",
     "a.toml:5: \"nice\" = 20 is out of range; it takes a whole number from -20 to 19"},
    {"[schedulers.x]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\n",
     "a.toml:1: unknown table \"schedulers\"; did you mean \"scheduler\"?; a spec holds [default], "
     "[scheduler.NAME] and "
     "[[test]]"},
    {"duration_s = 5\n[[test]]\nname = \"x\"\n",
     "a.toml:1: \"duration_s\" is outside of any table; move it under [default], [scheduler.NAME] or "
     "[[test]]"},
    {"[test]\nname = \"x\"\n",
     "a.toml:1: \"test\" wants a list of tables, has a table; write each as [[test]], with two brackets"},
    {"test = [1]\n",
     "a.toml:1: \"test\" wants a list of tables, has a whole number in it; write each as [[test]]"},
    {"scheduler = \"x\"\n[[test]]\nname = \"x\"\n",
     "a.toml:1: \"scheduler\" wants a table, has a text; write it as [scheduler.NAME]"},
    {"default = 3\n[[test]]\nname = \"x\"\n",
     "a.toml:1: \"default\" wants a table, has a whole number; write it as [default]"},
    {"[scheduler]\nx = 3\n[[test]]\nname = \"x\"\n",
     "a.toml:2: scheduler \"x\" wants a table, has a whole number; write it as [scheduler.NAME]"},
    {"[[test]]\nname = 5\n", "a.toml:2: \"name\" wants a text in quotes, has a whole number"},
    {"[[test]]\nname = \"x\"\nscheduler = 5\n",
     "a.toml:3: \"scheduler\" wants a text in quotes, has a whole number"},
    {"[[test]]\nname = \"x\"\nllcs = \"2\"\n",
     "a.toml:3: \"llcs\" wants a whole number from 1 to 255, has a text; write it without quotes"},
    {"[[test]]\nname = \"x\"\nllcs = 2.0\n",
     "a.toml:3: \"llcs\" wants a whole number from 1 to 255, has a number with a fraction"},
    {"[[test]]\nname = \"x\"\nexpect_err = 1\n",
     "a.toml:3: \"expect_err\" wants true or false, has a whole number"},
    {"[[test]]\nname = \"x\"\nauto_repro = \"yes\"\n",
     "a.toml:3: \"auto_repro\" wants true or false, has a text; write it without quotes"},
    {"[[test]]\nname = \"x\"\nduration_s = 2024-01-01\n",
     "a.toml:3: \"duration_s\" wants a number from 0.1 to 3600, has a date or time"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\ncpuset = 3\n",
     "a.toml:5: \"cpuset\" wants a text in quotes, has a whole number; put it in quotes"},
    {"[[test]]\nname = \"x\"\ncores = 0\n",
     "a.toml:3: \"cores\" = 0 is out of range; it takes a whole number from 1 to 255"},
    {"[[test]]\nname = \"x\"\ncores = -1\n",
     "a.toml:3: \"cores\" = -1 is out of range; it takes a whole number from 1 to 255"},
    {"[[test]]\nname = \"x\"\nduration_s = nan\n",
     "a.toml:3: \"duration_s\" = nan is out of range; it takes a number from 0.1 to 3600"},
    {"[[test]]\nname = \"x\"\nduration_s = inf\n",
     "a.toml:3: \"duration_s\" = inf is out of range; it takes a number from 0.1 to 3600"},
    {"[[test]]\nname = \"x\"\nmemory_mb = 9223372036854775807\n",
     "a.toml:3: \"memory_mb\" = 9223372036854775807 is out of range; it takes a whole number from 256 to "
     "65536"},
    {"[[test]]\nname = \"x\"\nllcs = 3\nnuma_nodes = 2\n",
     "a.toml:3: llcs = 3 is no multiple of numa_nodes = 2; each NUMA node holds the same number of LLCs"},
    {"[[test]]\nname = \"x\"\nnuma_nodes = 2\n",
     "a.toml:3: llcs = 1 is no multiple of numa_nodes = 2; each NUMA node holds the same number of LLCs"},
    {"[[test]]\nname = \"x\"\ncores = 64\nthreads = 4\n",
     "a.toml:3: llcs * cores * threads = 256 CPUs; a VM has 255 at most"},
    {"[[test]]\nname = \"x\"\ncores = 4\n[[test.cgroup]]\nname = \"c\"\ncpuset = \"0-4\"\n",
     "a.toml:6: cpuset: \"0-4\" names CPU 4, the VM has CPUs 0 to 3; CPUs = llcs * cores * threads"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\ncpuset = \"all\"\n",
     "a.toml:5: cpuset: \"all\" is not a CPU list; write it like \"0-3,5\""},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\ncpuset = \"\"\n",
     "a.toml:5: cpuset: \"\" is not a CPU list; write it like \"0-3,5\""},
    {"[[test]]\nname = \"x\"\ncores = 4\n[[test.cgroup]]\nname = \"c\"\ncpuset = \"3-1\"\n",
     "a.toml:6: cpuset: \"3-1\" has a range that runs backwards: \"3-1\"; write the smaller number first"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nwork = \"PipeIo\"\nworkers = 3\n",
     "a.toml:6: PipeIo works in pairs, but there are 3 workers; make it an even number"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nwork = \"FutexPingPong\"\n",
     "a.toml:3: FutexPingPong works in pairs, but there is 1 worker; make it an even number"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\nburst_ms = 3\n",
     "a.toml:5: CpuSpin takes no burst_ms; it belongs to Mixed, Bursty, FanOutCompute"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nworkers = 3\n",
     "a.toml:3: [[test.cgroup]] has no name; add name = \"…\""},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"../x\"\n",
     "a.toml:4: cgroup name \"../x\" is no good name; use letters, digits, '_' and '-', not '-' first, 100 "
     "at most"},
    {"[[test]]\nname = \"x\"\n[[test.cgroup]]\nname = \"c\"\n[[test.cgroup]]\nname = \"c\"\n",
     "a.toml:5: cgroup \"c\" is already in line 3; give each cgroup of a test a name of its own"},
    {"[[test]]\nname = \"x\"\nworkers_per_cgroup = 3\n",
     "a.toml:3: workers_per_cgroup is set, but the test has no cgroup; add a [[test.cgroup]]"},
    {"[[test]]\n", "a.toml:1: [[test]] has no name; add name = \"…\""},
    {"[[test]]\nname = \"\"\n",
     "a.toml:2: test name \"\" is no good name; use letters, digits, '_', '-' and '.', neither '-' nor '.' "
     "first, 100 at "
     "most"},
    {"[[test]]\nname = \"a/b\"\n",
     "a.toml:2: test name \"a/b\" is no good name; use letters, digits, '_', '-' and '.', neither '-' nor "
     "'.' first, 100 "
     "at most"},
    {"[[test]]\nname = \"..\"\n",
     "a.toml:2: test name \"..\" is no good name; use letters, digits, '_', '-' and '.', neither '-' nor '.' "
     "first, 100 "
     "at most"},
    {"[[test]]\nname = \"x\"\n[[test]]\nname = \"x\"\n",
     "a.toml:4: test \"x\" is already in line 2; give each test a name of its own"},
    {"[scheduler.demo]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"demmo\"\n",
     "a.toml:5: unknown scheduler \"demmo\"; did you mean \"demo\"?"},
    {"[[test]]\nname = \"x\"\nscheduler = \"demo\"\n",
     "a.toml:3: unknown scheduler \"demo\"; add a block [scheduler.demo]"},
    {"[default]\nscheduler = \"demo\"\n[[test]]\nname = \"x\"\n[[test]]\nname = \"y\"\n",
     "a.toml:2: unknown scheduler \"demo\"; add a block [scheduler.demo]"},
    {"[scheduler.none]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\n",
     "a.toml:1: scheduler name \"none\" means the kernel's own scheduler; choose another name"},
    {"[scheduler.\"a b\"]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\n",
     "a.toml:1: scheduler name \"a b\" is no good name; use letters, digits, '_' and '-', not '-' first, 100 "
     "at most"},
    {"[scheduler.a]\nargs = []\n[[test]]\nname = \"x\"\n",
     "a.toml:1: scheduler \"a\" has no binary; add binary = \"scx_…\", a path or a name"},
    {"[scheduler.a]\nbinary = \"\"\n[[test]]\nname = \"x\"\n", "a.toml:2: binary = \"\" names no file"},
    {"[scheduler.a]\nbinary = \"build/\"\n[[test]]\nname = \"x\"\n",
     "a.toml:2: binary = \"build/\" names no file"},
    {"[scheduler.a]\nbinary = \"gone\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n[[test]]\nname = "
     "\"y\"\nscheduler = \"a\"\n",
     "a.toml:2: scheduler binary \"gone\" not found; looked for: /nowhere"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\nargs = \"-v\"\n[[test]]\nname = \"x\"\n",
     "a.toml:3: \"args\" wants a list of texts, has a text; for example args = [\"--fail-after\", \"500\"]"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\nargs = [\"-n\", 5]\n[[test]]\nname = \"x\"\n",
     "a.toml:3: \"args\" wants a list of texts, has a whole number in it; put it in quotes"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\nargs = [\"a\\u0000b\"]\n[[test]]\nname = \"x\"\n",
     "a.toml:3: \"args\" has a NUL character in it"},
    {"[[test]]\nname = \"x\"\nexpect_err = true\n",
     "a.toml:3: expect_err = true, but the test runs no scheduler that could fail; add scheduler = \"…\""},
    {"[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n"
     "expect_scx_bpf_error_contains = \"boom\"\n",
     "a.toml:6: expect_scx_bpf_error_contains without expect_err = true in test \"x\"; a pin says which "
     "failure is the "
     "expected one; add expect_err = true"},
    {"[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\nexpect_err = false\n"
     "expect_scx_bpf_error_matches = \"boom\"\n",
     "a.toml:6: expect_scx_bpf_error_matches without expect_err = true in test \"x\"; a pin says which "
     "failure is the "
     "expected one; add expect_err = true"},
    {std::string_view("[[test]]\0", 9), "a.toml: a binary file, not a spec; name a .toml file"},
};

TEST(TestSpecTest, EachMistakeHasItsMessage) {
  for (const Refused& refused : kRefused) EXPECT_EQ(refusal(refused.text), refused.message) << refused.text;
}

TEST(TestSpecTest, PinsAreCheckedBeforeAnythingBoots) {
  auto with_pin = [](std::string_view pin) {
    return refusal(
        "[scheduler.a]\nbinary = \"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\nexpect_err = "
        "true\n" +
        std::string(pin) + "\n");
  };
  EXPECT_EQ(with_pin("expect_scx_bpf_error_matches = \"boom\""), "(accepted)");
  for (std::string_view bad : {"''", "'a?'", "'.*'", "'(?:)'", "'^$'", "'\\b'", "'(unclosed'", "'\\1'"})
    EXPECT_THAT(with_pin("expect_scx_bpf_error_matches = " + std::string(bad)),
                HasSubstr("a.toml:7: expect_scx_bpf_error_matches = "))
        << bad;
  EXPECT_THAT(with_pin("expect_scx_bpf_error_contains = ''"),
              HasSubstr("a.toml:7: expect_scx_bpf_error_contains = \"\""));
  // On the other two layers as well.
  EXPECT_THAT(
      refusal("[default]\nexpect_err = true\nexpect_scx_bpf_error_matches = 'a*'\n[scheduler.a]\nbinary = "
              "\"scx_demo\"\n[[test]]\nname = \"x\"\nscheduler = \"a\"\n"),
      HasSubstr("a.toml:3: expect_scx_bpf_error_matches"));
  EXPECT_THAT(
      refusal("[scheduler.a]\nbinary = \"scx_demo\"\nexpect_err = true\nexpect_scx_bpf_error_matches = 'a*'\n"
              "[[test]]\nname = \"x\"\nscheduler = \"a\"\n"),
      HasSubstr("a.toml:4: expect_scx_bpf_error_matches"));
}

TEST(TestSpecTest, AllErrorsComeTogetherInTheOrderOfLines) {
  EXPECT_EQ(refusal("[[test]]\n"
                    "name = \"x\"\n"
                    "duratoin_s = 3\n"
                    "llcs = \"many\"\n"
                    "scheduler = \"gone\"\n"
                    "[[test]]\n"
                    "name = \"x\"\n"),
            "a.toml:3: unknown attribute \"duratoin_s\" in [[test]]; did you mean \"duration_s\"?\n"
            "a.toml:4: \"llcs\" wants a whole number from 1 to 255, has a text; write it without quotes\n"
            "a.toml:5: unknown scheduler \"gone\"; add a block [scheduler.gone]\n"
            "a.toml:7: test \"x\" is already in line 2; give each test a name of its own");
}

TEST(TestSpecTest, ManyErrorsAreCutAndCounted) {
  std::string text = "[[test]]\nname = \"x\"\n";
  for (int i = 0; i < 200; ++i) text += "qq" + std::to_string(i) + " = 1\n";
  std::string message = refusal(text);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 50);
  EXPECT_THAT(message, HasSubstr("a.toml: 150 more errors"));
}

TEST(TestSpecTest, BrokenTomlNamesTheLine) {
  EXPECT_THAT(refusal("[[test]]\nname = \n"), HasSubstr("a.toml:2: not valid TOML: "));
  EXPECT_THAT(refusal("[[test]]\nname = \"x\"\nname = \"y\"\n"), HasSubstr("a.toml:3: not valid TOML: "));
  EXPECT_THAT(refusal("[[test]]\nname = \"\xff\xfe\"\n"), HasSubstr("a.toml:2: not valid TOML: "));
  EXPECT_EQ(refusal("[[test]]\nname = \n").find('\n'), std::string::npos) << "one error only";
}

TEST(TestSpecTest, ControlCharactersNeverReachTheMessage) {
  std::string message = refusal("[[test]]\nname = \"a\\u001b[31mb\"\n");
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_THAT(message, HasSubstr("\\x1b[31m"));
}

TEST(TestSpecTest, LongAndManyThingsAreBounded) {
  EXPECT_THAT(refusal("[[test]]\nname = \"" + std::string(5000, 'a') + "\"\n"),
              HasSubstr("a.toml:2: \"name\" is longer than 4096 bytes"));
  EXPECT_THAT(refusal("[[test]]\nname = \"" + std::string(200, 'a') + "\"\n"), HasSubstr("is no good name"));
  std::string many;
  for (int i = 0; i < 1025; ++i) many += "[[test]]\nname = \"t" + std::to_string(i) + "\"\n";
  EXPECT_THAT(refusal(many), HasSubstr("more than 1024 [[test]] tables; split the spec"));
  std::string groups = "[[test]]\nname = \"x\"\nworkers_per_cgroup = 1024\n";
  for (int i = 0; i < 5; ++i) groups += "[[test.cgroup]]\nname = \"c" + std::to_string(i) + "\"\n";
  EXPECT_THAT(refusal(groups), HasSubstr("a.toml:1: the test has 5120 workers; 4096 is the most"));
}

// Random damage to a good spec: any answer will do, but a crash, and a refusal without a message.
constexpr std::string_view kRich = R"([scheduler.demo]
binary = "scx_demo"
[[test]]
name = "rich"
scheduler = "demo"
llcs = 2
cores = 2
  [[test.cgroup]]
  name = "a"
  work = "FutexFanOut"
  workers = 5
  cpuset = "overlap:0/2:0.5"
  policy = "Fifo"
  [[test.cgroup]]
  name = "b"
  work = "Sequence"
  phases = ["spin 5ms", "sleep 2.5ms"]
  affinity = "range:0.25-1.0"
  [[test.payload]]
  name = "p"
  binary = "scx_demo"
  args = ["-x"]
  timeout_s = 2
  [[test.step]]
  hold_frac = 0.5
  ops = [{ spawn = "a", work = "IoSync" }, { swap_cpusets = "a", with = "b" }, { run = "p" }]
  [[test.bpf_map_write]]
  map = ".bss"
  value = -1
  [test.matrix]
  threads = [1, 2]
  kernel = ["7.3", "6.16"]
)";

TEST(TestSpecTest, DamagedSpecsNeverCrash) {
  ASSERT_TRUE(parse(kRich).ok()) << parse(kRich).error().to_string();
  std::mt19937 random(1);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::string_view kPieces[] = {
      "[[",        "]]",     "=",         "\"",   "'''",   "\n",
      "{",         "}",      "nan",       "-1",   "1e999", "0x7fffffffffffffff",
      "test",      "cgroup", "[default]", "\xff", ".",     "\\u0000",
      "a.b.c = 1", "true",   "1979-05-27"};
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text(round % 2 == 0 ? kGood : kRich);
    for (size_t edits = 1 + below(4); edits > 0; --edits) {
      size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text.erase(at, 1 + below(20));
          break;
        case 1:
          text[at] = static_cast<char>(below(256));
          break;
        case 2:
          text.insert(at, kPieces[below(std::size(kPieces))]);
          break;
        default: {
          std::string moved = text.substr(below(text.size()), below(60));
          text.insert(at, moved);
        }
      }
      if (text.empty()) text = "x";
    }
    auto tests = parse(text);
    if (tests.ok()) {
      ++accepted;
    } else {
      ASSERT_EQ(tests.error().message().rfind("a.toml:", 0), 0u) << text;
    }
  }
  EXPECT_GT(accepted, 20) << "the damage is so heavy that only the TOML parser is tried";
}

TEST(Spec, ProbesAreLightOrFull) {
  const std::string test = "[[test]]\nname = \"x\"\nrepro_probes = ";
  auto light = parse(test + "\"light\"\n");
  ASSERT_TRUE(light.ok()) << light.error().to_string();
  EXPECT_EQ(light->front().spec.repro_probes, "light");
  EXPECT_EQ(parse("[[test]]\nname = \"x\"\n")->front().spec.repro_probes, "");
  EXPECT_THAT(refusal(test + "\"lihgt\"\n"), HasSubstr("repro_probes = \"lihgt\" is not known"));
}

// The attribute once said at most 16, the command line, ktstr-reproer and ktstr-probe 64.
TEST(Limits, ReproHistoryHasOneBound) {
  EXPECT_EQ(find_attribute("repro_history")->max, kMaxReproHistory);
  EXPECT_EQ(find_attribute("repro_tries")->max, kMaxReproTries);
  const std::string test = "[[test]]\nname = \"x\"\nrepro_history = ";
  auto most = parse(test + "64\n");
  ASSERT_TRUE(most.ok()) << most.error().to_string();
  EXPECT_EQ(most->front().spec.probe_history, 64u);
  EXPECT_THAT(refusal(test + "65\n"), HasSubstr("from 1 to 64"));
}

}  // namespace
}  // namespace ktstr
