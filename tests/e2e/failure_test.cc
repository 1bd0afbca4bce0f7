// Failures that are not a scheduler's crash: each is named, and none is a pass.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

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
  Running run(scratch, launch_argv({"run", spec, "--boot-timeout", "15", "--out", scratch.path() + "/out"}),
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
