// A test that is written and read again is the same test.
#include "spec/spec_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "schemas/spec_generated.h"
#include "spec/spec.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

std::vector<TestSpecT> read(const std::string& text) {
  auto tests = parse_tests(text, "s.toml", {});
  EXPECT_TRUE(tests) << (tests ? "" : tests.error().message()) << "\n" << text;
  std::vector<TestSpecT> out;
  if (tests)
    for (LoadedTest& test : *tests) out.push_back(std::move(test.spec));
  return out;
}

// All of a test but where in which file it stands, and how an operation was worded.
std::string bytes(TestSpecT spec) {
  spec.file.clear();
  spec.line = 0;
  if (!spec.base_name.empty()) spec.name = spec.base_name;
  spec.base_name.clear();
  spec.matrix.clear();
  for (auto& step : spec.steps) {
    step->line = 0;
    for (auto& op : step->ops) {
      op->line = 0;
      op->text.clear();
    }
  }
  for (auto& write : spec.bpf_map_write) write->line = 0;
  flatbuffers::FlatBufferBuilder fbb;
  fbb.Finish(TestSpec::Pack(fbb, &spec));
  return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
}

void expect_same_again(const TestSpecT& spec) {
  const std::string text = spec_text(spec);
  auto again = read(text);
  ASSERT_EQ(again.size(), 1u) << text;
  EXPECT_EQ(bytes(again.front()), bytes(spec)) << text << "\nwritten again:\n" << spec_text(again.front());
}

TEST(SpecWriter, ATestWithEverythingIsTheSameAgain) {
  for (const TestSpecT& spec : read(R"(
[scheduler.mine]
binary = "scx_mine"
args = ["--slice \"5\"", "a\\b", "{files}/layers.json"]
[[test]]
name = "all"
scheduler = "mine"
numa_nodes = 2
llcs = 4
cores = 2
threads = 2
duration_s = 2.5
watchdog_timeout_s = 0.75
memory_mb = 3000
max_gap_ms = 0.5
enforce = true
not_starved = false
max_spread_pct = 33.3
kernels = [">=6.16", "<8"]
kernel_args = ["quiet", "x=1"]
files = ["layers.json"]
config = "a = 1\nb = \"two\"\n"
config_arg = "--config="
env = { RUST_LOG = "debug", MODE = "{config}" }
sysctl = { "kernel.sched_schedstats" = 1 }
build = "make -C ."
allow_kernel_warnings = ["*"]
  [[test.cgroup]]
  name = "pipes"
  workers = 4
  work = "PipeIo"
  cpuset = "llc:0"
  [[test.cgroup]]
  name = "seq"
  workers = 2
  work = "Sequence"
  phases = ["spin 1.5ms", "sleep 250us", "yield 1ms", "io 2ms"]
  policy = "RoundRobin"
  priority = 7
  affinity = "0-3"
  [[test.cgroup]]
  name = "programs"
  work = "Custom"
  payload = "hash"
  nice = -5
  cpuset = "0-1,4"
  [[test.payload]]
  name = "hash"
  binary = "sha256sum"
  args = ["/init"]
  exit_code = 3
  timeout_s = 1.5
  cgroup = "pipes"
  [[test.payload]]
  name = "beside"
  binary = "/bin/true"
  [[test.bpf_map_write]]
  map = ".bss"
  field = "limit"
  value = true
  at_s = 0.25
  [[test.bpf_map_write]]
  map = "cfg"
  key = 3
  value = -7
  [[test.step]]
  hold_s = 0.5
  ops = [
    { swap_cpusets = "pipes", with = "programs" }, { add_cgroup = "late", cpus = "range:0.0-0.5" },
    { spawn = "late", workers = 8, work = "FutexFanOut", fan_out = 3 }, { run = "hash" }, { wait = "hash" },
    { kill = "hash" }, { set_affinity = "late", cpus = "1" }, { set_cpuset = "late", cpus = "llc:1" },
    { clear_cpuset = "late" }, { move_tasks = "late", to = "seq" }, { stop = "late" }, { remove_cgroup = "late" },
  ]
  [[test.step]]
  name = "the end"
  hold_frac = 0.25
)"))
    expect_same_again(spec);
}

TEST(SpecWriter, EachWorkTypeWithParametersOfItsOwnIsTheSameAgain) {
  for (const WorkInfo& info : work_types()) {
    if (info.type == WorkType::Custom) continue;
    TestSpecT spec = read("[[test]]\nname = \"t\"\n[[test.cgroup]]\nname = \"g\"\n").at(0);
    CgroupSpecT& group = *spec.cgroups[0];
    group.work = info.type;
    set_work_defaults(group);
    for (const WorkNumber& number : work_numbers())
      if (info.takes(number.name)) group.*number.field += 4;
    if (info.takes("burst_ms")) group.burst_ns = 1'500'000;
    if (info.takes("pause_ms")) group.pause_ns = 250'000;
    if (info.takes("phases")) {
      group.phases.push_back(std::make_unique<WorkPhaseT>());
      group.phases[0]->length_ns = 1'000'000;
    }
    group.workers = group_size(group) * 2;
    expect_same_again(spec);
  }
}

TEST(SpecWriter, EveryTestOfTheExamplesAndOfAMatrixIsTheSameAgain) {
  size_t tests = 0;
  for (const char* name : {"/../examples/workload.toml", "/../examples/demo.toml"}) {
    std::ifstream file(std::string(KTSTR_DOCS_DIR) + name);
    std::stringstream text;
    text << file.rdbuf();
    for (const TestSpecT& spec : read(text.str())) {
      expect_same_again(spec);
      ++tests;
    }
  }
  EXPECT_GT(tests, 3u);
}

TEST(SpecWriter, TheCallerSaysHowProgramsAreWrittenAndWhetherTheyAreBuilt) {
  TestSpecT spec =
      read("[scheduler.a]\nbinary = \"scx_a\"\nbuild = \"make\"\n[[test]]\nname = \"t\"\nscheduler = \"a\"\n")
          .at(0);
  spec.scheduler->host_path = "/opt/scx_a";
  const std::string text = spec_text(
      spec,
      {.place = [](const std::string&, const std::string& host_path) { return host_path; }, .build = false});
  EXPECT_NE(text.find("binary = \"/opt/scx_a\""), std::string::npos) << text;
  EXPECT_EQ(text.find("build"), std::string::npos) << text;
}

}  // namespace
}  // namespace ktstr
