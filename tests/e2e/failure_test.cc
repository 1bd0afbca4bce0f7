// Failures that are not a scheduler's crash: each is named, and none is a pass.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "schemas/run_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

TEST(Failure, AGuestKernelPanicIsSaidWithinTheRunNotAtADeadline) {
  Scratch scratch;
  std::string script = scratch.write("panic.sh", "#!/bin/sh\necho c > /proc/sysrq-trigger\nsleep 1000\n");
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = script}));
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  std::string summary = run.out.substr(0, run.out.find('\n'));
  EXPECT_NE(summary.find("panic"), std::string::npos) << run.out;
  for (const auto& e : read_log(scratch.path() + "/out/t/events.ktlog")) {
    if (auto* x = e.as<VmExited>(); x && e.vm() == Vm::Primary) {
      EXPECT_EQ(x->end(), VmEnd::Died);
    }
  }
}

TEST(Failure, ASchedulerThatNeverAttachesIsSaidSo) {
  Scratch scratch;
  std::string script = scratch.write("idle.sh", "#!/bin/sh\necho starting up\nsleep 1000\n");
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = script, .test = "attach_timeout_s = 3"}));
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  std::string summary = run.out.substr(0, run.out.find('\n'));
  EXPECT_NE(summary.find("attach"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("starting up"), std::string::npos) << "its own words are in the report";
}

TEST(Failure, ABootThatHangsNamesTheLastStage) {
  Scratch scratch;
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .duration_s = 600}));
  Running run(
      scratch,
      launch_argv({"run", spec, "--boot-timeout", "15", "--no-template", "--out", scratch.path() + "/out"}),
      {"XDG_RUNTIME_DIR=" + scratch.path()});
  // Stop QEMU's process as soon as there is one: from the launcher's side, a guest that hangs while it boots.
  std::vector<std::string> qemu;
  ASSERT_TRUE(wait_until(
      [&] { return !(qemu = processes_with("-name ktstr-primary", scratch.path())).empty(); }, kRunLimit))
      << run.err();
  kill(std::stoi(qemu[0]), SIGSTOP);
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 3) << output.out;
  std::string summary = output.out.substr(0, output.out.find('\n'));
  EXPECT_TRUE(summary.starts_with("BUG SUMMARY: boot hung: last stage: ")) << output.out;
  EXPECT_NE(summary.find("deadline boot: "), std::string::npos) << output.out;
}

TEST(Failure, AHelperThatDiesIsMissedByNameAndTheRunGoesOn) {
  Scratch scratch;
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"200\""}));
  Running run(scratch, launch_argv({"run", spec, "--out", scratch.path() + "/out"}),
              {"XDG_RUNTIME_DIR=" + scratch.path()});
  std::vector<std::string> monitor;
  ASSERT_TRUE(wait_until([&] { return run.err().find("init started") != std::string::npos; }, kRunLimit))
      << run.err();
  monitor = processes_with("/ktstr-monitor --bus", scratch.path());
  ASSERT_EQ(monitor.size(), 1u) << join(monitor);
  kill(std::stoi(monitor[0]), SIGKILL);
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 1) << output.err;
  EXPECT_NE(output.out.find("monitor: killed by signal 9"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("--- auto-repro ---"), std::string::npos) << output.out;
}

// The run of a good scheduler in which one of our own processes gets `signal` while the workload runs.
RunOutput good_run_with(const Scratch& scratch, const std::string& process, int signal) {
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .duration_s = 15}));
  Running run(scratch, launch_argv({"run", spec, "--out", scratch.path() + "/out"}),
              {"XDG_RUNTIME_DIR=" + scratch.path()});
  EXPECT_TRUE(wait_until([&] { return run.err().find("workload running") != std::string::npos; }, kRunLimit))
      << run.err();
  auto found = processes_with(process, scratch.path());
  EXPECT_EQ(found.size(), 1u) << join(found);
  if (found.empty()) return run.finish();
  const pid_t pid = std::stoi(found[0]);
  kill(pid, signal);
  if (signal == SIGSTOP) {
    std::this_thread::sleep_for(std::chrono::seconds(10));  // the fault itself
    kill(pid, SIGCONT);
  }
  return run.finish();
}

TEST(Failure, ACollectorKilledDuringTheWorkloadAccusesNobody) {
  Scratch scratch;
  const RunOutput output = good_run_with(scratch, "/ktstr-collector --bus", SIGKILL);
  EXPECT_EQ(output.exit_code, 3) << output.out << output.err;
  const std::string summary = output.out.substr(0, output.out.find('\n'));
  EXPECT_NE(summary.find("collector"), std::string::npos) << output.out;
  EXPECT_EQ(output.out.find("guest died"), std::string::npos) << output.out;
  EXPECT_TRUE(processes_with("qemu-system", scratch.path()).empty());
}

TEST(Failure, ALauncherThatWasStoppedHoldsItAgainstNobody) {
  Scratch scratch;
  const RunOutput output = good_run_with(scratch, "ktstr-launch run", SIGSTOP);
  EXPECT_TRUE(output.exit_code == 0 || output.exit_code == 3) << output.exit_code << output.out << output.err;
}

TEST(Failure, AQemuThatWasStoppedIsSaidAndAccusesNobody) {
  Scratch scratch;
  const RunOutput output = good_run_with(scratch, "-name ktstr-primary", SIGSTOP);
  EXPECT_TRUE(output.exit_code == 0 || output.exit_code == 3) << output.exit_code << output.out << output.err;
  EXPECT_NE(output.out.find("QEMU: was stopped by a signal"), std::string::npos) << output.out;
}

TEST(Failure, TheFirstSignalEndsARunWhoseReportNobodyReads) {
  Scratch scratch;
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .duration_s = 1}));
  // `less` that nobody pages through: a pipe that is never read, and is full.
  const std::string reader = scratch.path() + "/unread";
  ASSERT_EQ(mkfifo(reader.c_str(), 0600), 0);
  const int read_end = open(reader.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(read_end, 0);
  std::vector<std::string> argv = {
      "sh", "-c", "head -c 65536 /dev/zero >> " + reader + "; exec \"$0\" \"$@\" >> " + reader};
  for (std::string& word : launch_argv({"run", spec, "--out", scratch.path() + "/out"}))
    argv.push_back(std::move(word));
  Running run(scratch, argv, {"XDG_RUNTIME_DIR=" + scratch.path()});
  ASSERT_TRUE(wait_until([&] { return access((scratch.path() + "/out/t/report.txt").c_str(), F_OK) == 0; },
                         kRunLimit))
      << run.err();
  run.signal(SIGINT);
  const RunOutput output = run.finish(std::chrono::milliseconds(60'000));
  EXPECT_EQ(output.exit_code, 130) << output.err;
  EXPECT_TRUE(processes_with("ktstr-", scratch.path()).empty())
      << join(processes_with("ktstr-", scratch.path()));
  close(read_end);
}

TEST(Failure, AReporterThatDiesIsRunAgainOverTheLog) {
  Scratch scratch;
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"200\""}));
  Running run(scratch, launch_argv({"run", spec, "--out", scratch.path() + "/out"}),
              {"XDG_RUNTIME_DIR=" + scratch.path()});
  ASSERT_TRUE(wait_until([&] { return run.err().find("init started") != std::string::npos; }, kRunLimit))
      << run.err();
  auto reporter = processes_with("/ktstr-reporter --bus", scratch.path());
  ASSERT_EQ(reporter.size(), 1u) << join(reporter);
  kill(std::stoi(reporter[0]), SIGKILL);
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 1) << output.err;
  EXPECT_TRUE(output.out.starts_with("BUG SUMMARY: ")) << output.out;
  EXPECT_NE(output.out.find("--- auto-repro ---"), std::string::npos) << output.out;
}

TEST(Failure, AFullDiskEndsTheRunAsInfrastructureFailureWithWhatWasRecorded) {
  Scratch scratch;
  std::string disk = scratch.path() + "/disk";
  ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=48k") != 0)
    GTEST_SKIP() << "only root can make a small disk";
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .duration_s = 600}));
  auto run = launch(scratch, {"run", spec, "--out", disk + "/out"}, {"KTSTR_VERBOSE=1"});
  umount(disk.c_str());
  EXPECT_EQ(run.exit_code, 3) << run.err;
  EXPECT_NE(run.err.find("No space left on device"), std::string::npos) << run.err;
  EXPECT_NE(run.out.find("did not finish"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("--- timeline ---"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
