// Extra collectors on a live VM: one in Python, written from docs/protocol.md alone, and commands in the
// guest.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "schemas/client_generated.h"
#include "schemas/run_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;

// The scheduler fails once its enqueues are used up, and that is when a command in the guest forks in a loop.
std::string spec() {
  return spec_text({.scheduler = "scx_demo",
                    .args = "\"--fail-after\", \"2500\"",
                    .test = "auto_repro = false",
                    .work = "CpuSpin",
                    .duration_s = 120});
}

std::vector<std::string> lines_of(const std::vector<EventBuffer>& events, std::string_view source,
                                  std::string_view name) {
  std::vector<std::string> lines;
  for (const auto& e : events)
    if (auto* l = e.as<CollectorLine>(); l && str(e->source()) == source && str(l->name()) == name)
      lines.emplace_back(str(l->text()));
  return lines;
}

TEST(Clients, APythonCollectorAndCommandsInTheGuestStandInLogReportAndReplay) {
  Scratch scratch;
  const std::string runtime_dir = scratch.path() + "/rt";
  fs::create_directory(runtime_dir);
  const std::vector<std::string> env = {"XDG_RUNTIME_DIR=" + runtime_dir};
  Running run(scratch,
              launch_argv({"run", scratch.write("spec.toml", spec()), "--out", scratch.path() + "/out"}),
              env);
  ASSERT_TRUE(wait_until([&] { return run.err().find("workload running") != std::string::npos; }, kRunLimit))
      << run.err();

  std::vector<std::string> python_env = env;
  python_env.push_back(std::string("PYTHONPATH=") + KTSTR_PYTHON_SCHEMAS);
  python_env.push_back("PYTHONDONTWRITEBYTECODE=1");
  // The distribution's python3 knows the distribution's packages.
  Running collector(
      scratch,
      {"/usr/bin/python3", std::string(KTSTR_SOURCE) + "/examples/python-collector/collector.py", "latest",
       "--period", "0.2", "--launch", std::string(KTSTR_BIN) + "/ktstr-launch"},
      python_env);
  const std::string log = scratch.path() + "/out/t/events.ktlog";
  ASSERT_TRUE(wait_until([&] { return lines_of(read_log(log), "hostload", "").size() >= 2; },
                         std::chrono::milliseconds(60'000)))
      << collector.finish(std::chrono::milliseconds(1000)).err;

  auto taken = launch(scratch, {"attach", "latest", "--name", "hostload", "--", "true"}, env);
  EXPECT_EQ(taken.exit_code, 2) << taken.err;
  EXPECT_NE(taken.err.find("taken"), std::string::npos) << taken.err;

  auto cat = launch(
      scratch,
      {"attach", "latest", "--name", "load", "--guest", "--", "cat", "/proc/loadavg", "/no/such/file"}, env);
  EXPECT_EQ(cat.exit_code, 1) << cat.err;
  EXPECT_NE(cat.out.find("/"), std::string::npos) << "the guest's load average: " << cat.out;
  EXPECT_NE(cat.err.find("No such file"), std::string::npos) << cat.err;
  auto missing =
      launch(scratch, {"attach", "latest", "--name", "missing", "--guest", "--", "/no/such/program"}, env);
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_NE(missing.err.find("No such file"), std::string::npos) << missing.err;

  // Ctrl-C ends the command in the guest.
  Running lasting(
      scratch, launch_argv({"attach", "latest", "--name", "lasting", "--guest", "--", "sleep", "1000"}), env);
  ASSERT_TRUE(wait_until(
      [&] {
        for (const auto& e : read_log(log))
          if (auto* r = e.as<GuestCommandRequested>(); r && str(r->name()) == "lasting") return true;
        return false;
      },
      std::chrono::milliseconds(60'000)));
  lasting.signal(SIGINT);
  EXPECT_EQ(lasting.finish(std::chrono::milliseconds(60'000)).exit_code, 128 + SIGTERM);

  Running forks(scratch,
                launch_argv({"attach", "latest", "--name", "forks", "--guest", "--", "sh", "-c",
                             "echo forking; while :; do (:); done"}),
                env);
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 1) << output.err;
  EXPECT_NE(forks.finish(std::chrono::milliseconds(30'000)).exit_code, 0);
  auto heard = collector.finish(std::chrono::milliseconds(30'000));
  EXPECT_EQ(heard.exit_code, 0) << heard.err;
  EXPECT_NE(heard.out.find("crash in the primary VM"), std::string::npos) << heard.out << heard.err;
  EXPECT_NE(heard.out.find("demo_charge"), std::string::npos) << heard.out;
  EXPECT_NE(heard.out.find("run finished, exit code 1"), std::string::npos) << heard.out;

  auto events = read_log(log);
  EXPECT_GE(lines_of(events, "hostload", "").size(), 2u);
  EXPECT_EQ(lines_of(events, "guest", "load").size(), 2u);
  EXPECT_EQ(lines_of(events, "guest", "forks"), std::vector<std::string>{"forking"});
  for (const auto& e : events)
    EXPECT_EQ(e.as<FileEmbedded>(), nullptr) << "the command's files are not in the log";

  const std::string report = read_file(scratch.path() + "/out/t/report.txt");
  for (const char* name : {"hostload", "load (guest)", "forks (guest)"})
    EXPECT_NE(report.find(name), std::string::npos) << name << "\n" << report;
  auto replay = launch(scratch, {"replay", log});
  EXPECT_EQ(replay.out, report) << "a replay is the report, byte for byte";

  // The same collector on the recorded run: it sees what it saw.
  Running bus(scratch,
              launch_argv({"replay", log, "--bus", "--speed", "max", "--wait", "1", "--linger", "20"}), env);
  Running again(scratch,
                {"/usr/bin/python3", std::string(KTSTR_SOURCE) + "/examples/python-collector/collector.py",
                 "latest", "--wait", "20", "--launch", std::string(KTSTR_BIN) + "/ktstr-launch"},
                python_env);
  auto seen = again.finish(std::chrono::milliseconds(60'000));
  EXPECT_EQ(seen.exit_code, 0) << seen.err;
  EXPECT_EQ(seen.out, heard.out);
  bus.signal(SIGTERM);
  bus.finish(std::chrono::milliseconds(30'000));
}

TEST(Clients, ACppTestsBodyTellsItsChecksInTheReport) {
  Scratch scratch;
  auto run = launch(
      scratch, {"run", KTSTR_TEST_SAMPLE, "-E", "test(=tells_its_checks)", "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string report = read_file(scratch.path() + "/out/tells_its_checks/report.txt");
  for (const char* text : {"check budget: observed 7, threshold 5 (", "sample_tests.cc:", "set cpuset",
                           "min_work_rate of left", "threshold 1e+09/s", "words of the body", "apart",
                           "swapped", "PipeIo", "Custom", "min_work_rate of right"})
    EXPECT_NE(report.find(text), std::string::npos) << text << "\n" << report;
  EXPECT_EQ(report.find("isolation:"), std::string::npos) << "nobody left its cpuset:\n" << report;
  EXPECT_EQ(report.find("check messengers:"), std::string::npos) << "a body sees its messenger:\n" << report;
  size_t workers = 0, messengers = 0, functions = 0;
  for (const auto& e : read_log(scratch.path() + "/out/tells_its_checks/events.ktlog"))
    if (auto* w = e.as<WorkerReport>()) {
      ++workers;
      EXPECT_GT(w->iterations(), 0u);
      EXPECT_TRUE(w->messenger().has_value());
      messengers += w->messenger().value_or(false);
      functions += w->function();
    }
  EXPECT_EQ(workers, 6u);
  EXPECT_EQ(messengers, 1u);
  EXPECT_EQ(functions, 1u);
  EXPECT_NE(run.out.find("rerun: ktstr-launch run " KTSTR_TEST_SAMPLE), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
