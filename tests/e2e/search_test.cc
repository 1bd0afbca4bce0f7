// ktstr-launch minimize and bisect: real runs, each a process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "schemas/event_generated.h"
#include "schemas/run_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string signature_in(const std::string& log) {
  std::string out;
  for (const EventBuffer& event : read_log(log))
    if (auto* verdict = event.as<Verdict>()) out = str(verdict->signature());
  return out;
}

std::string shell(const Scratch& scratch, const std::string& command) {
  Running running(scratch, {"/bin/sh", "-c", "cd " + scratch.path() + " && " + command});
  const RunOutput output = running.finish();
  EXPECT_EQ(output.exit_code, 0) << command << "\n" << output.out << output.err;
  return output.out;
}

constexpr char kLarge[] = R"(
[scheduler.demo]
binary = "scx_demo"
args = ["--fail-after", "200"]
[[test]]
name = "t"
scheduler = "demo"
cores = 4
duration_s = 3
auto_repro = false
max_gap_ms = 5000
  [[test.cgroup]]
  name = "a"
  workers = 4
  work = "YieldHeavy"
  [[test.cgroup]]
  name = "b"
  workers = 4
  work = "PipeIo"
  cpuset = "0-2"
  [[test.step]]
  hold_s = 1
  ops = [{ set_cpuset = "a", cpus = "0-1" }]
)";

TEST(Minimize, TheSpecOfAFailingRunBecomesSmallerAndItsFileFailsInTheSameWay) {
  Scratch scratch;
  const std::string spec = scratch.write("large.toml", kLarge), out = scratch.path();
  ASSERT_EQ(launch(scratch, {"run", spec, "--out", out + "/first"}).exit_code, 1);
  const std::string signature = signature_in(out + "/first/t/events.ktlog");
  ASSERT_THAT(signature, HasSubstr("0x401"));
  const RunOutput run = launch(scratch, {"minimize", out + "/first/t/events.ktlog", "--tries", "1", "--runs",
                                         "7", "--out", out + "/runs", "--write", out + "/minimal.toml"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("step step 1"));
  EXPECT_THAT(run.err, HasSubstr("it still fails"));
  EXPECT_THAT(run.err, HasSubstr("--runs is used up"));
  EXPECT_EQ(run.out, read_file(out + "/minimal.toml"));
  EXPECT_THAT(run.out, HasSubstr(signature));
  EXPECT_THAT(run.out, Not(HasSubstr("[[test.step]]")));
  // Of the two groups one is enough.
  const std::string text = run.out;
  const size_t first = text.find("[[test.cgroup]]");
  EXPECT_EQ(text.find("[[test.cgroup]]", first == text.npos ? first : first + 1), text.npos) << text;

  ASSERT_EQ(launch(scratch, {"run", out + "/minimal.toml", "--out", out + "/again"}).exit_code, 1);
  EXPECT_EQ(signature_in(out + "/again/t/events.ktlog"), signature);
}

TEST(Minimize, ARunThatPassedIsNoStart) {
  Scratch scratch;
  const std::string spec =
      scratch.write("good.toml", spec_text({.scheduler = "scx_good", .duration_s = 0.5}));
  ASSERT_NE(launch(scratch, {"run", spec, "--out", scratch.path() + "/run"}).exit_code, 1);
  const RunOutput run =
      launch(scratch, {"minimize", scratch.path() + "/run/t/events.ktlog", "--out", scratch.path()});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("this run did not fail"));
  EXPECT_EQ(run.out, "");
}

TEST(Minimize, CtrlCGivesTheBestSoFar) {
  Scratch scratch;
  const std::string spec = scratch.write("large.toml", kLarge), out = scratch.path();
  Running running(scratch, launch_argv({"minimize", spec, "--tries", "1", "--out", out + "/runs"}));
  ASSERT_TRUE(
      wait_until([&] { return running.err().find("still fails") != std::string::npos || !running.running(); },
                 kRunLimit));
  running.signal(SIGINT);
  const RunOutput end = running.finish();
  EXPECT_EQ(end.exit_code, 130) << end.err;
  EXPECT_THAT(end.out, HasSubstr("[[test]]"));
  EXPECT_THAT(end.err, HasSubstr("interrupted"));
  EXPECT_EQ(join(processes_with("qemu-system", out)), "");
}

// A repository whose third commit does not build, and whose fifth brings the crash.
std::string make_repository(const Scratch& scratch) {
  const std::string schedulers =
      std::filesystem::path(launch_argv({})[0]).parent_path().parent_path() / "schedulers";
  const std::string folder = scratch.path() + "/repo";
  std::filesystem::create_directories(folder);
  scratch.write(
      "repo/spec.toml",
      "[scheduler.mine]\nbinary = \"./mine\"\nbuild = \"sh make.sh\"\n"
      "[[test]]\nname = \"t\"\nscheduler = \"mine\"\ncores = 2\nduration_s = 2\nauto_repro = false\n"
      "  [[test.cgroup]]\n  name = \"g\"\n  workers = 8\n  work = \"YieldHeavy\"\n");
  shell(scratch, "cd repo && git init -q . && git config user.email a@b && git config user.name A");
  const char* kMakes[] = {"cp SCHED/scx_good mine", "false", "cp SCHED/scx_good mine # 2",
                          "cp SCHED/scx_demo mine"};
  for (size_t i = 0; i < std::size(kMakes); ++i) {
    std::string make = kMakes[i];
    if (const size_t at = make.find("SCHED"); at != make.npos) make.replace(at, 5, schedulers);
    scratch.write("repo/make.sh", make + "\n");
    shell(scratch, "cd repo && git add -A && git commit -q -m 'commit " + std::to_string(i) + "'");
  }
  return folder;
}

TEST(Bisect, TheFirstBadCommitIsFoundInAWorktreeAndTheWorkingCopyStaysAsItWas) {
  Scratch scratch;
  const std::string repo = make_repository(scratch);
  const std::string before = shell(scratch, "cd repo && git rev-parse HEAD && git status --porcelain");
  const RunOutput run = launch(scratch, {"bisect", repo + "/spec.toml", "--good", "HEAD~3", "--bad", "HEAD",
                                         "--out", scratch.path() + "/runs"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("first bad: commit "));
  EXPECT_THAT(run.out, HasSubstr("commit 3"));
  EXPECT_THAT(run.out, HasSubstr("0x401"));
  EXPECT_THAT(run.out, HasSubstr("last good: "));
  EXPECT_THAT(run.err, HasSubstr("commit 1: skipped (no verdict (exit code 2): error: build of scheduler"));
  EXPECT_EQ(shell(scratch, "cd repo && git rev-parse HEAD && git status --porcelain"), before);
  EXPECT_FALSE(std::filesystem::exists(repo + "/mine"));
  EXPECT_EQ(shell(scratch, "cd repo && git worktree list | wc -l"), "1\n");

  // The good end is tried, too.
  const RunOutput wrong = launch(scratch, {"bisect", repo + "/spec.toml", "--good", "HEAD~2", "--bad", "HEAD",
                                           "--out", scratch.path() + "/wrong"});
  EXPECT_EQ(wrong.exit_code, 4) << wrong.out << wrong.err;
  EXPECT_THAT(wrong.out, HasSubstr("the good end is not good: commit "));

  // And by git itself.
  const std::string git =
      shell(scratch, "cd repo && git bisect start HEAD HEAD~3 && git bisect run " + launch_argv({})[0] +
                         " run spec.toml --bisect-exit --out " + scratch.path() + "/git 2>&1");
  EXPECT_THAT(git, HasSubstr("is the first bad commit"));
  EXPECT_THAT(git, HasSubstr("commit 3"));
}

TEST(Bisect, TheFirstKernelThatFailsIsFoundInTheCache) {
  Scratch scratch;
  const std::string spec =
      scratch.write("kernels.toml",
                    "[[test]]\nname = \"t\"\nduration_s = 2\n  [[test.payload]]\n  name = \"p\"\n"
                    "  binary = \"/bin/sh\"\n  timeout_s = 20\n"
                    "  args = [\"-c\", 'read v < /proc/version; case \"$v\" in \"Linux version "
                    "6.\"*) exit 0;; esac; exit 1']\n");
  const std::string kernels = launch(scratch, {"kernel", "list"}).out;
  if (kernels.find("\n6.16") == kernels.npos || kernels.find("7.3") == kernels.npos)
    GTEST_SKIP() << "needs the kernels 6.16 and 7.3 in the cache";
  const RunOutput run = launch(scratch, {"bisect", spec, "--kernels", "--good", "6.16", "--bad", "7.3",
                                         "--out", scratch.path() + "/runs"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("first bad: kernel 7."));
  EXPECT_THAT(run.out, HasSubstr("last good: kernel 6."));
}

TEST(Bisect, WrongCommandLinesStopGitAndNamesOfCommitsAreChecked) {
  Scratch scratch;
  EXPECT_EQ(launch(scratch, {"run", "--no-such-option", "--bisect-exit", "x.toml"}).exit_code, 129);
  EXPECT_EQ(launch(scratch, {"run", "missing.toml", "--bisect-exit"}).exit_code, 125);
  const std::string spec = scratch.write("s.toml", spec_text({.scheduler = "scx_good"}));
  const RunOutput outside =
      launch(scratch, {"bisect", spec, "--good", "a", "--bad", "b", "--out", scratch.path() + "/o"});
  EXPECT_EQ(outside.exit_code, 2);
  EXPECT_THAT(outside.err, HasSubstr("not in a git repository"));
  shell(scratch, "git init -q .");
  const RunOutput no_build =
      launch(scratch, {"bisect", spec, "--good", "a", "--bad", "b", "--out", scratch.path() + "/o"});
  EXPECT_EQ(no_build.exit_code, 2);
  EXPECT_THAT(no_build.err, HasSubstr("has a `build`"));
  const RunOutput kernel = launch(scratch, {"bisect", spec, "--kernels", "--good", "1.0", "--bad", "7.3",
                                            "--out", scratch.path() + "/o"});
  EXPECT_EQ(kernel.exit_code, 2);
  EXPECT_THAT(kernel.err, HasSubstr("--good 1.0: this kernel is not cached"));
}

}  // namespace
}  // namespace ktstr::e2e
