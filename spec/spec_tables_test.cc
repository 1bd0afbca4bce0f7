// Cgroups, payloads, steps and matrices of a spec.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/spec_generated.h"
#include "spec/spec.h"
#include "spec/spec_show.h"

namespace ktstr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kHead = "[[test]]\nname = \"x\"\nllcs = 2\ncores = 2\nduration_s = 8\n";

Result<std::vector<LoadedTest>> parse(const std::string& text) {
  return parse_tests(std::string(kHead) + text, "a.toml", {});
}
std::string refusal(const std::string& text) {
  auto tests = parse(text);
  return tests.ok() ? "(accepted)" : tests.error().message();
}
// The message for one cgroup's attributes; its name is in line 7, the attributes follow.
std::string bad_group(const std::string& attributes) {
  return refusal("[[test.cgroup]]\nname = \"c\"\n" + attributes);
}

TEST(SpecTablesTest, AWorkTypeGetsItsParametersAndTheirDefaults) {
  auto tests = parse(
      "[[test.cgroup]]\nname = \"a\"\nwork = \"FutexFanOut\"\nworkers = 5\ncpuset = \"llc:1\"\n"
      "[[test.cgroup]]\nname = \"b\"\nwork = \"MutexContention\"\nworkers = 6\ncontenders = 3\nhold_iters = "
      "7\n"
      "nice = 5\naffinity = \"disjoint:0/4\"\n"
      "[[test.cgroup]]\nname = \"c\"\nwork = \"Sequence\"\nphases = [\"spin 5ms\", \"sleep 250us\"]\n"
      "policy = \"Fifo\"\n"
      "[[test.cgroup]]\nname = \"d\"\nwork = \"PageFaultChurn\"\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  const TestSpecT& spec = (*tests)[0].spec;
  EXPECT_EQ(spec.cgroups[0]->fan_out, 4u);
  EXPECT_EQ(spec.cgroups[0]->spin_iters, 1024u);
  EXPECT_EQ(spec.cgroups[0]->size_kb, 0u) << "what it does not take stays unset";
  EXPECT_EQ(spec.cgroups[0]->cpuset, "2-3");
  EXPECT_EQ(spec.cgroups[0]->cpuset_rule, "llc:1");
  EXPECT_EQ(spec.cgroups[1]->contenders, 3u);
  EXPECT_EQ(spec.cgroups[1]->hold_iters, 7u);
  EXPECT_EQ(spec.cgroups[1]->work_iters, 1024u);
  EXPECT_EQ(spec.cgroups[1]->nice, 5);
  EXPECT_EQ(spec.cgroups[1]->affinity, "0");
  ASSERT_EQ(spec.cgroups[2]->phases.size(), 2u);
  EXPECT_EQ(spec.cgroups[2]->phases[1]->kind, WorkPhaseKind::Sleep);
  EXPECT_EQ(spec.cgroups[2]->phases[1]->length_ns, 250000u);
  EXPECT_EQ(spec.cgroups[2]->policy, SchedPolicy::Fifo);
  EXPECT_EQ(spec.cgroups[2]->priority, 1u);
  EXPECT_EQ(spec.cgroups[3]->size_kb, 4096u);
  std::string shown = show_test((*tests)[0]);
  EXPECT_THAT(shown,
              HasSubstr("cgroup a: 5 workers, FutexFanOut (fan_out 4, spin_iters 1024), CPUs 2-3 (llc:1)\n"));
  EXPECT_THAT(shown, HasSubstr("bound to 0 (disjoint:0/4), nice 5\n"));
  EXPECT_THAT(shown, HasSubstr("Sequence (phases Spin 5 ms, Sleep 0.25 ms), CPUs all, Fifo 1\n"));
}

TEST(SpecTablesTest, MistakesOfACgroup) {
  EXPECT_EQ(
      bad_group("work = \"FutexFanOut\"\nworkers = 4\n"),
      "a.toml:9: FutexFanOut works in groups of fan_out + 1 = 5, but there are 4 workers; make it a multiple "
      "of 5");
  EXPECT_EQ(bad_group("work = \"MutexContention\"\nworkers = 6\n"),
            "a.toml:9: MutexContention works in groups of contenders = 4, but there are 6 workers; make it a "
            "multiple of 4");
  EXPECT_EQ(bad_group("work = \"CachePipe\"\n"),
            "a.toml:6: CachePipe works in pairs, but there is 1 worker; make it an even number");
  EXPECT_EQ(bad_group("fan_out = 3\n"),
            "a.toml:8: CpuSpin takes no fan_out; it belongs to FutexFanOut, FanOutCompute");
  EXPECT_EQ(bad_group("work = \"Sequence\"\n"),
            "a.toml:6: Sequence has no phases; add phases = [\"spin 5ms\", \"sleep 2ms\"]");
  EXPECT_THAT(bad_group("work = \"Sequence\"\nphases = [\"nap 3ms\"]\n"),
              HasSubstr("a.toml:9: \"nap 3ms\" is no phase"));
  EXPECT_THAT(bad_group("work = \"Sequence\"\nphases = [\"spin 0ms\"]\n"), HasSubstr("is no phase"));
  EXPECT_EQ(bad_group("policy = \"fifo\"\n"), "a.toml:8: unknown policy \"fifo\"; did you mean \"Fifo\"?");
  EXPECT_EQ(bad_group("priority = 3\n"),
            "a.toml:8: priority without a real-time policy; add policy = \"Fifo\" or \"RoundRobin\"");
  EXPECT_EQ(bad_group("policy = \"Fifo\"\nnice = 3\n"),
            "a.toml:9: nice with a real-time policy; take one of the two out");
  EXPECT_THAT(bad_group("cpuset = \"llc:2\"\n"),
              HasSubstr("a.toml:8: cpuset: \"llc:2\" names no LLC of the topology, which has 2"));
  EXPECT_EQ(bad_group("cpuset = \"llc:0\"\naffinity = \"2-3\"\n"),
            "a.toml:9: affinity 2-3 has no CPU of the group's cpuset 0-1; bind the workers to CPUs that they "
            "may use");
  EXPECT_EQ(bad_group("cpuset = \"llc:0\"\naffinity = \"1-3\"\n"), "(accepted)");
  EXPECT_THAT(bad_group("work = \"Custom\"\n"), HasSubstr("a.toml:6: Custom work has no payload"));
  EXPECT_THAT(bad_group("work = \"Custom\"\npayload = \"p\"\n"),
              HasSubstr("a.toml:9: unknown payload \"p\""));
}

TEST(SpecTablesTest, Payloads) {
  auto tests = parse(
      "[[test.cgroup]]\nname = \"c\"\n[[test.payload]]\nname = \"p\"\nbinary = \"/usr/bin/sha256sum\"\n"
      "args = [\"/dev/null\"]\ncgroup = \"c\"\ntimeout_s = 1.5\nexit_code = 3\n"
      "[[test.payload]]\nname = \"q\"\nbinary = \"true\"\n[[test.step]]\nops = [{ run = \"q\" }, { wait = "
      "\"q\" }]\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  const auto& payloads = (*tests)[0].spec.payloads;
  ASSERT_EQ(payloads.size(), 2u);
  EXPECT_EQ(payloads[0]->guest_path, "/ktstr/payload/p/sha256sum");
  EXPECT_EQ(payloads[0]->timeout_ns, 1'500'000'000u);
  EXPECT_EQ(payloads[0]->exit_code, 3);
  EXPECT_FALSE(payloads[0]->on_demand);
  EXPECT_TRUE(payloads[1]->on_demand) << "a step starts it";

  EXPECT_EQ(refusal("[[test.payload]]\nname = \"p\"\n"),
            "a.toml:6: [[test.payload]] has no binary; add binary = \"…\", a path or a name");
  EXPECT_EQ(refusal("[[test.payload]]\nname = \"p\"\nbinary = \"x\"\nargz = []\n"),
            "a.toml:9: unknown attribute \"argz\" in [[test.payload]]; did you mean \"args\"?");
  EXPECT_THAT(refusal("[[test.payload]]\nname = \"p\"\nbinary = \"x\"\ncgroup = \"c\"\n"),
              HasSubstr("a.toml:9: unknown cgroup \"c\""));
}

TEST(SpecTablesTest, StepsFollowTheGroups) {
  auto tests = parse(
      "[[test.cgroup]]\nname = \"io\"\n"
      "[[test.step]]\nname = \"squeeze\"\nhold_frac = 0.25\nops = [\n"
      "  { add_cgroup = \"late\", cpus = \"llc:1\" },\n"
      "  { spawn = \"late\", workers = 4, work = \"PipeIo\" },\n"
      "  { swap_cpusets = \"io\", with = \"late\" },\n"
      "]\n[[test.step]]\nhold_s = 1\nops = [{ stop = \"late\" }, { remove_cgroup = \"late\" }]\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  const auto& steps = (*tests)[0].spec.steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0]->name, "squeeze");
  EXPECT_EQ(steps[0]->hold_ns, 2'000'000'000u);
  ASSERT_EQ(steps[0]->ops.size(), 3u);
  EXPECT_EQ(steps[0]->ops[0]->cpus, "2-3");
  EXPECT_EQ(steps[0]->ops[0]->line, 12u);
  EXPECT_EQ(steps[0]->ops[0]->text, "add_cgroup late to llc:1 = 2-3");
  EXPECT_EQ(steps[0]->ops[1]->group->workers, 4u);
  EXPECT_EQ(steps[0]->ops[1]->text, "spawn 4 PipeIo in late");
  EXPECT_EQ(steps[0]->ops[2]->other, "late");
  EXPECT_EQ(steps[1]->name, "step 2");
}

TEST(SpecTablesTest, MistakesOfAStep) {
  auto step = [](const std::string& rest) {
    return refusal("[[test.cgroup]]\nname = \"io\"\n[[test.step]]\n" + rest);
  };
  EXPECT_EQ(
      step("ops = [{ stop = \"oi\" }]\n"),
      "a.toml:9: cgroup \"oi\" is not there at this step; did you mean \"io\"?; add a [[test.cgroup]], or { "
      "add_cgroup = \"…\" } before it");
  EXPECT_THAT(step("ops = [{ remove_cgroup = \"io\" }, { stop = \"io\" }]\n"),
              HasSubstr("is not there at this step"));
  EXPECT_EQ(step("ops = [{ spwan = \"io\" }]\n"),
            "a.toml:9: unknown attribute \"spwan\" in an operation; did you mean \"spawn\"?");
  EXPECT_EQ(step("ops = [{ set_cpuset = \"io\" }]\n"), "a.toml:9: set_cpuset has no cpus; add cpus = \"…\"");
  EXPECT_THAT(step("ops = [{ cpus = \"0\" }]\n"), HasSubstr("an operation without a verb"));
  EXPECT_EQ(step("ops = [{ stop = \"io\", cpus = \"0\" }]\n"),
            "a.toml:9: stop takes no \"cpus\"; it takes nothing else");
  EXPECT_THAT(step("ops = [{ stop = \"io\", spawn = \"io\" }]\n"), HasSubstr("write two operations"));
  EXPECT_THAT(step("ops = [{ run = \"p\" }]\n"), HasSubstr("unknown payload \"p\""));
  EXPECT_THAT(step("ops = [{ add_cgroup = \"io\" }]\n"), HasSubstr("is there already"));
  EXPECT_THAT(step("hold_s = 9\n"), HasSubstr("the steps hold for 9 s up to here, duration_s is 8"));
  EXPECT_THAT(step("hold_s = 1\nhold_frac = 0.5\n"), HasSubstr("hold_s and hold_frac in one step"));
  EXPECT_EQ(step("hold = 3\n"),
            "a.toml:9: unknown attribute \"hold\" in [[test.step]]; did you mean \"hold_s\"?");
}

TEST(SpecTablesTest, StepsTakeCpusAwayAndBringThemBack) {
  auto tests = parse(
      "[[test.step]]\nhold_s = 1\nops = [{ offline = \"2-3\" }]\n"
      "[[test.step]]\nhold_s = 1\nonline = \"3\"\n"
      "[[test.step]]\nhold_s = 1\nonline = \"2\"\noffline = \"llc:1\"\n");
  EXPECT_FALSE(tests.ok()) << "CPU 3 came back, CPU 2 is still away: llc:1 is both";
  tests = parse(
      "[[test.step]]\nhold_s = 1\nops = [{ offline = \"llc:1\" }]\n[[test.step]]\nhold_s = 1\nonline = "
      "\"3\"\n");
  ASSERT_TRUE(tests.ok()) << tests.error().to_string();
  const auto& steps = (*tests)[0].spec.steps;
  ASSERT_EQ(steps[0]->ops.size(), 1u);
  EXPECT_EQ(steps[0]->ops[0]->kind, OpKind::Offline);
  EXPECT_EQ(steps[0]->ops[0]->cpus, "2-3");
  EXPECT_EQ(steps[0]->ops[0]->text, "offline llc:1 = 2-3");
  ASSERT_EQ(steps[1]->ops.size(), 1u) << "the same, written beside the step's name";
  EXPECT_EQ(steps[1]->ops[0]->kind, OpKind::Online);
  EXPECT_EQ(steps[1]->ops[0]->cpus, "3");
}

TEST(SpecTablesTest, MistakesOfCpusThatGoAway) {
  auto step = [](const std::string& rest) { return refusal("[[test.step]]\n" + rest); };
  EXPECT_EQ(step("ops = [{ offline = \"0-1\" }]\n"),
            "a.toml:7: offline: CPU 0 cannot go offline; an x86-64 kernel keeps its boot CPU: name others");
  EXPECT_THAT(step("ops = [{ offline = \"3\" }, { offline = \"2-3\" }]\n"),
              HasSubstr("offline: CPU 3 is offline already at this step"));
  EXPECT_THAT(step("ops = [{ online = \"3\" }]\n"), HasSubstr("online: CPU 3 is not offline at this step"));
  EXPECT_THAT(step("ops = [{ offline = \"64\" }]\n"), HasSubstr("a.toml:7: offline: "));
  EXPECT_THAT(step("ops = [{ offline = \"3\", cpus = \"2\" }]\n"), HasSubstr("offline takes no \"cpus\""));
}

std::vector<std::string> names(const std::string& text) {
  auto tests = parse(text);
  std::vector<std::string> out;
  if (!tests) return {tests.error().message()};
  for (const auto& test : *tests) out.push_back(test.spec.name);
  return out;
}

TEST(SpecTablesTest, AMatrixMakesOneTestOfEachCell) {
  EXPECT_THAT(names("[test.matrix]\nthreads = [1, 2]\nkernel = [\"7.3\", \"/boot/my image\"]\n"),
              ElementsAre("x[threads=1,kernel=7.3]", "x[threads=1,kernel=_boot_my_image]",
                          "x[threads=2,kernel=7.3]", "x[threads=2,kernel=_boot_my_image]"));
  auto tests = parse("[test.matrix]\nthreads = [1, 2]\n");
  ASSERT_TRUE(tests.ok());
  EXPECT_EQ((*tests)[1].spec.topology->threads, 2u);
  EXPECT_EQ((*tests)[1].spec.base_name, "x");
  EXPECT_EQ((*tests)[1].spec.matrix, "threads=2");
  EXPECT_THAT(show_test((*tests)[1]), HasSubstr("threads                 = 2      a.toml:7 [[test]]"));
}

TEST(SpecTablesTest, MistakesOfAMatrix) {
  EXPECT_EQ(refusal("[test.matrix]\ncoers = [2]\n"),
            "a.toml:7: a matrix does not go over \"coers\"; did you mean \"cores\"?");
  EXPECT_THAT(refusal("[test.matrix]\nduration_s = [2]\n"),
              HasSubstr("a matrix does not go over \"duration_s\""));
  EXPECT_THAT(refusal("[test.matrix]\ncores = 2\n"), HasSubstr("wants a list of 1 to 64 values"));
  EXPECT_THAT(refusal("[test.matrix]\ncores = [2, 2]\n"), HasSubstr("matrix: cores has 2 twice"));
  EXPECT_THAT(refusal("[test.matrix]\ncores = [2, 256]\n"), HasSubstr("\"cores\" = 256 is out of range"));
  std::string many;
  for (int i = 1; i <= 64; ++i) many += (i > 1 ? ", " : "") + std::to_string(i);
  EXPECT_THAT(refusal("[test.matrix]\ncores = [" + many + "]\nmemory_mb = [300, 301, 302, 303, 304]\n"),
              HasSubstr("more than 256 cells"));
  // A mistake that every cell has is reported once.
  std::string message =
      refusal("cgroup = [{ name = \"c\", work = \"Nap\" }]\n[test.matrix]\ncores = [2, 4, 8]\n");
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace
}  // namespace ktstr
