// Processes and what they leave behind: nothing but the log and the report, however the run ends.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <regex>

#include "schemas/client_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;

class LifetimeTest : public testing::Test {
 protected:
  void SetUp() override {
    runtime_dir_ = scratch_.path() + "/rt";
    fs::create_directory(runtime_dir_);
    for (const auto& e : fs::directory_iterator("/dev/shm")) shm_before_.push_back(e.path());
    std::string spec = scratch_.write("spec.toml", spec_text({.scheduler = "scx_good", .duration_s = 600}));
    run_.emplace(scratch_, launch_argv({"run", spec, "--out", scratch_.path() + "/out"}),
                 std::vector<std::string>{"XDG_RUNTIME_DIR=" + runtime_dir_});
    ASSERT_TRUE(
        wait_until([&] { return run_->err().find("workload running") != std::string::npos; }, kRunLimit))
        << run_->err();
  }

  std::string log() const { return scratch_.path() + "/out/t/events.ktlog"; }

  void expect_nothing_left() {
    EXPECT_TRUE(
        wait_until([&] { return processes_with(runtime_dir_).empty(); }, std::chrono::milliseconds(20'000)))
        << join(processes_with(runtime_dir_));
    EXPECT_TRUE(wait_until([&] { return fs::is_empty(runtime_dir_); }, std::chrono::milliseconds(5'000)))
        << "bus folder left in " << runtime_dir_;
    std::vector<std::string> shm_after;
    for (const auto& e : fs::directory_iterator("/dev/shm")) shm_after.push_back(e.path());
    EXPECT_EQ(shm_after, shm_before_);
  }

  Scratch scratch_;
  std::string runtime_dir_;
  std::vector<std::string> shm_before_;
  std::optional<Running> run_;
};

// Root, and not in a container that keeps it from that.
bool may_change_user() {
  ChildOptions options;
  options.argv = {"true"};
  options.user = ChildUser{.uid = 61184, .gid = 61184, .groups = {}};
  auto child = Child::spawn(options);
  return child && child->wait(std::chrono::seconds(10)).value_or(ChildExit{1, 0}).clean();
}

TEST_F(LifetimeTest, PsShowsFiveProcessesOfOursPlusQemu) {
  for (const char* name : {"ktstr-launch run", "ktstr-collector --bus", "ktstr-monitor --bus",
                           "ktstr-reproer --bus", "ktstr-reporter --bus", "qemu-system-x86_64"}) {
    auto found = processes_with(name, scratch_.path());
    EXPECT_EQ(found.size(), 1u) << name << "\n" << join(found);
    if (!may_change_user() || found.size() != 1 || std::string(name) != "qemu-system-x86_64") continue;
    // Root's QEMU is nobody's: real, effective, saved and file system id.
    const std::string status = read_file("/proc/" + found[0].substr(0, found[0].find(' ')) + "/status");
    EXPECT_TRUE(std::regex_search(status, std::regex("\nUid:(\t6[0-9]{4}){4}\n"))) << status;
    EXPECT_TRUE(std::regex_search(status, std::regex("\nCapEff:\t0+\n"))) << status;
  }
  run_->signal(SIGTERM);
  EXPECT_EQ(run_->finish().exit_code, 143);
  expect_nothing_left();
}

TEST_F(LifetimeTest, AnAttachedCommandsLinesStandInTheLogUnderItsOwnName) {
  std::vector<std::string> env = {"XDG_RUNTIME_DIR=" + runtime_dir_};
  auto attached =
      launch(scratch_,
             {"attach", "latest", "--name", "trace", "--", "sh", "-c", "echo first; echo second >&2"}, env);
  EXPECT_EQ(attached.exit_code, 0) << attached.err;
  EXPECT_NE(attached.err.find("2 lines into"), std::string::npos) << attached.err;
  auto taken = launch(scratch_, {"attach", "latest", "--name", "monitor", "--", "true"}, env);
  EXPECT_EQ(taken.exit_code, 2);
  EXPECT_NE(taken.err.find("taken"), std::string::npos) << taken.err;
  // The lines are in the log before the run ends; a command that outlives the run is ended with it.
  const std::string seconds = std::to_string(100'000 + getpid());  // nobody else sleeps so long
  Running lasting(scratch_, launch_argv({"attach", "latest", "--name", "lasting", "--", "sleep", seconds}),
                  env);
  ASSERT_TRUE(wait_until([&] { return processes_with("sleep " + seconds).size() >= 2; }, kRunLimit));
  run_->signal(SIGTERM);
  EXPECT_EQ(run_->finish().exit_code, 143);
  lasting.finish(std::chrono::milliseconds(20'000));
  std::vector<std::string> lines;
  for (const auto& e : read_log(log()))
    if (auto* l = e.as<CollectorLine>(); l && str(e->source()) == "trace") lines.emplace_back(str(l->text()));
  EXPECT_EQ(lines, (std::vector<std::string>{"first", "second"}));
  expect_nothing_left();
}

TEST_F(LifetimeTest, CtrlCGivesPartialResultsAndLeavesNothing) {
  run_->signal(SIGINT);
  auto output = run_->finish();
  EXPECT_EQ(output.exit_code, 130) << output.out << output.err;
  EXPECT_NE(output.out.find("interrupted"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("--- timeline ---"), std::string::npos) << output.out;
  expect_nothing_left();
}

TEST_F(LifetimeTest, KillNineOfTheLauncherLeavesNothingButAUsefulLog) {
  run_->signal(SIGKILL);
  run_->finish();
  expect_nothing_left();
  Running reporter(scratch_, {std::string(KTSTR_BIN) + "/ktstr-reporter", log()});
  auto report = reporter.finish();
  EXPECT_NE(report.exit_code, 0) << "an unfinished run is no pass";
  EXPECT_NE(report.out.find("did not finish"), std::string::npos) << report.out;
  EXPECT_NE(report.out.find("--- timeline ---"), std::string::npos) << report.out;
}

}  // namespace
}  // namespace ktstr::e2e
