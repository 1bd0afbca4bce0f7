// Many tests as one run: side by side, tried again, repeated, interrupted, and told as one document.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;

// A test whose payload is a program of the host: "/bin/true", "/bin/false", a file that changes.
std::string payload_test(const std::string& name, const std::string& program, const std::string& more = "") {
  return "[[test]]\nname = \"" + name + "\"\nduration_s = 2\n" + more +
         "  [[test.payload]]\n  name = \"p\"\n  binary = \"" + program + "\"\n";
}

std::string payload_spec(const Scratch& scratch, const std::string& tests) {
  return scratch.write("spec.toml", "[default]\ncores = 1\nthreads = 1\n" + tests);
}

std::vector<std::string> state_of(const Scratch& scratch) {
  return {"XDG_STATE_HOME=" + scratch.path() + "/state"};
}

std::vector<nlohmann::json> lines(const std::string& path) {
  std::vector<nlohmann::json> out;
  std::istringstream in(read_file(path));
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

std::string status_of(const std::vector<nlohmann::json>& tests, const std::string& name) {
  for (const auto& test : tests)
    if (test["test"] == name) return test["status"];
  return "absent";
}

// What failed is tried again, alone, until it passes: the program is mended while it fails.
TEST(Runner, SideBySideThenOnlyWhatFailedUntilItPasses) {
  Scratch scratch;
  const std::string program = scratch.path() + "/program";
  fs::copy_file("/bin/false", program);
  const std::string spec =
      payload_spec(scratch, payload_test("bad", program) + payload_test("good", "/bin/true") +
                                payload_test("elsewhere", "/bin/true", "kernels = [\">=99.1\"]\n"));
  auto run = launch(scratch,
                    {"run", spec, "--jobs", "2", "--out", scratch.path() + "/out", "--junit",
                     scratch.path() + "/junit.xml", "--json", scratch.path() + "/tests.json"},
                    state_of(scratch));
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_NE(run.out.find("BUG SUMMARY: payload p: exit code 1"), std::string::npos) << run.out;
  EXPECT_NE(("\n" + run.out).find("\nPASS good "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("1 passed, 1 failed, 1 skipped\n"), std::string::npos) << run.out;
  const auto tests = lines(scratch.path() + "/tests.json");
  EXPECT_EQ(tests.size(), 3u);
  EXPECT_EQ(status_of(tests, "bad"), "fail");
  EXPECT_EQ(status_of(tests, "good"), "pass");
  EXPECT_EQ(status_of(tests, "elsewhere"), "skip");
  auto lint = run_captured(
      {.argv = {"xmllint", "--noout", "--schema", std::string(KTSTR_SOURCE) + "/tests/formats/junit.xsd",
                scratch.path() + "/junit.xml"}},
      std::chrono::milliseconds(60'000), true);
  ASSERT_TRUE(lint);
  EXPECT_TRUE(lint->exit.clean()) << lint->out;
  // The same document, from the logs alone, on any machine.
  auto replay =
      launch(scratch, {"replay", scratch.path() + "/out", "--junit", scratch.path() + "/again.xml"});
  EXPECT_EQ(replay.exit_code, 1) << replay.err;
  EXPECT_EQ(replay.out, "");
  const auto sorted = [](const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    std::sort(all.begin(), all.end());
    return join(all);
  };
  EXPECT_EQ(sorted(read_file(scratch.path() + "/again.xml")),
            sorted(read_file(scratch.path() + "/junit.xml")));

  Running again(scratch,
                launch_argv({"run", spec, "--failed", "--retries", "9", "--out", scratch.path() + "/out2",
                             "--json", scratch.path() + "/again.json"}),
                state_of(scratch));
  ASSERT_TRUE(
      wait_until([&] { return again.err().find("TRY 1 FAILED bad") != std::string::npos; }, kRunLimit))
      << again.err();
  fs::copy_file("/bin/true", program + ".new");
  fs::rename(program + ".new", program);
  auto flaky = again.finish();
  EXPECT_EQ(flaky.exit_code, 0) << flaky.err << flaky.out;
  EXPECT_NE(flaky.err.find("PASSED bad: flaky"), std::string::npos) << flaky.err;
  EXPECT_NE(flaky.out.find("FLAKY "), std::string::npos) << flaky.out;
  const auto told = lines(scratch.path() + "/again.json");
  ASSERT_EQ(told.size(), 1u) << "only what failed was run";
  EXPECT_EQ(told[0]["status"], "flaky");
  EXPECT_EQ(told[0]["outcome"], "pass");
  EXPECT_EQ(told[0]["tries"][0]["outcome"], "fail");
  EXPECT_FALSE(fs::exists(scratch.path() + "/out2/good"));

  auto nothing =
      launch(scratch, {"run", spec, "--failed", "--out", scratch.path() + "/out3"}, state_of(scratch));
  EXPECT_EQ(nothing.exit_code, 5) << nothing.err;

  auto merged = launch(scratch, {"merge", scratch.path() + "/out", scratch.path() + "/out2"});
  EXPECT_EQ(merged.exit_code, 1) << "a failure is not hidden by another run's pass\n" << merged.out;
  EXPECT_NE(merged.out.find("2 passed, 1 failed, 1 of the passed flaky, 1 skipped\n"), std::string::npos)
      << merged.out;
}

TEST(Runner, ARepeatedTestHasAFailureRateAndStopsWhenItIsToldTo) {
  Scratch scratch;
  const std::string spec =
      payload_spec(scratch, payload_test("bad", "/bin/false") + payload_test("good", "/bin/true"));
  auto run = launch(
      scratch,
      {"run", spec, "--repeat", "2", "--until-fail", "--out", scratch.path() + "/out", "--partition",
       "count:1/1"},
      {state_of(scratch)[0], "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY=" + scratch.path() + "/summary.md"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_NE(run.out.find("good: 0 of 2 rounds failed: 0.0 % (95 % interval: 0.0 to 65.8 %)\n"),
            std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find("\n  1 times: payload p: exit code 1"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("bad: 1 of 1 rounds failed: 100.0 %"), std::string::npos) << run.out;
  EXPECT_TRUE(fs::exists(scratch.path() + "/out/good-2/events.ktlog"));
  // On GitHub: each report is a group whose lines are no commands, and what failed is annotated.
  const size_t group = run.out.find("::group::bad (round 1)\n::stop-commands::ktstr");
  ASSERT_NE(group, std::string::npos) << run.out;
  const size_t token = run.out.find("ktstr", run.out.find("stop-commands", group));
  const std::string resume =
      "::" + run.out.substr(token, run.out.find('\n', token) - token) + "::\n::endgroup::\n";
  EXPECT_LT(run.out.find("BUG SUMMARY: payload p", group), run.out.find(resume, group)) << run.out;
  EXPECT_NE(run.out.find("::error file=" + spec + ",line=", run.out.find(resume, group)), std::string::npos)
      << run.out;
  EXPECT_NE(read_file(scratch.path() + "/summary.md").find("## ktstr: 2 passed, 1 failed\n"),
            std::string::npos);
}

TEST(Runner, APartWithoutTestsIsAPassThatMergeKnowsOf) {
  Scratch scratch;
  const std::string spec = payload_spec(scratch, payload_test("only", "/bin/true"));
  auto empty = launch(scratch, {"run", spec, "--partition", "count:2/2", "--out", scratch.path() + "/p2",
                                "--junit", scratch.path() + "/p2.xml"});
  EXPECT_EQ(empty.exit_code, 0) << empty.err;
  EXPECT_NE(empty.err.find("partition count:2/2: 0 of 1 tests"), std::string::npos) << empty.err;
  EXPECT_NE(read_file(scratch.path() + "/p2.xml").find("tests=\"0\""), std::string::npos);
  auto merged = launch(scratch, {"merge", scratch.path() + "/p2"});
  EXPECT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_EQ(merged.out, "0 passed, 0 failed\n");
}

TEST(Runner, ControlCEndsAllTestsOfAParallelRunAndNothingIsLeft) {
  Scratch scratch;
  const std::string runtime = scratch.path() + "/rt";
  fs::create_directory(runtime);
  std::string tests;
  for (const char* name : {"one", "two", "three"})
    tests += "[[test]]\nname = \"" + std::string(name) +
             "\"\nduration_s = 600\n  [[test.cgroup]]\n  name = \"g\"\n  work = \"Bursty\"\n  workers = 1\n";
  const std::string spec = payload_spec(scratch, tests);
  Running run(scratch,
              launch_argv({"run", spec, "--jobs", "2", "--out", scratch.path() + "/out", "--junit",
                           scratch.path() + "/j.xml"}),
              {"XDG_RUNTIME_DIR=" + runtime, state_of(scratch)[0]});
  ASSERT_TRUE(wait_until(
      [&] {
        return run.err().find("one: workload running") != std::string::npos &&
               run.err().find("two: workload running") != std::string::npos;
      },
      kRunLimit))
      << run.err();
  // Two runs on one host: each with its own helpers.
  EXPECT_EQ(processes_with("ktstr-collector --bus", scratch.path()).size(), 2u);
  EXPECT_EQ(std::distance(fs::directory_iterator(runtime), fs::directory_iterator()), 2);
  run.signal(SIGINT);
  auto ended = run.finish();
  EXPECT_EQ(ended.exit_code, 130) << ended.err;
  EXPECT_NE(ended.out.find("2 without a verdict, 1 not run\n"), std::string::npos) << ended.out;
  EXPECT_NE(read_file(scratch.path() + "/out/one/report.txt").find("interrupted by SIGINT"),
            std::string::npos);
  EXPECT_NE(read_file(scratch.path() + "/j.xml").find("message=\"not run\""), std::string::npos);
  EXPECT_TRUE(wait_until([&] { return processes_with(runtime).empty(); }, std::chrono::milliseconds(20'000)));
  EXPECT_TRUE(fs::is_empty(runtime));
}

TEST(Runner, ALauncherThatIsKilledLeavesNoTestBehind) {
  Scratch scratch;
  const std::string runtime = scratch.path() + "/rt";
  fs::create_directory(runtime);
  const std::string spec = payload_spec(
      scratch,
      "[[test]]\nname = \"one\"\nduration_s = 600\n  [[test.cgroup]]\n  name = \"g\"\n  work = \"Bursty\"\n"
      "[[test]]\nname = \"two\"\nduration_s = 600\n  [[test.cgroup]]\n  name = \"g\"\n  work = \"Bursty\"\n");
  Running run(scratch, launch_argv({"run", spec, "--jobs", "2", "--out", scratch.path() + "/out"}),
              {"XDG_RUNTIME_DIR=" + runtime, state_of(scratch)[0]});
  ASSERT_TRUE(wait_until([&] { return processes_with("qemu-system", runtime).size() == 2; }, kRunLimit))
      << run.err();
  run.signal(SIGKILL);
  run.finish();
  EXPECT_TRUE(wait_until([&] { return processes_with(runtime).empty(); }, std::chrono::milliseconds(30'000)))
      << join(processes_with(runtime));
  EXPECT_TRUE(wait_until([&] { return fs::is_empty(runtime); }, std::chrono::milliseconds(10'000)));
  auto merged = launch(scratch, {"merge", scratch.path() + "/out"});
  EXPECT_EQ(merged.exit_code, 4) << merged.out << merged.err;
  EXPECT_NE(merged.out.find("0 passed, 0 failed, 2 without a verdict\n"), std::string::npos) << merged.out;
}

TEST(Runner, ATimeoutEndsTheTestAndAccusesNobody) {
  Scratch scratch;
  const std::string spec = payload_spec(scratch,
                                        "[[test]]\nname = \"long\"\nduration_s = 600\n  [[test.cgroup]]\n  "
                                        "name = \"g\"\n  work = \"Bursty\"\n");
  auto run =
      launch(scratch, {"run", spec, "--timeout", "2", "--out", scratch.path() + "/out"}, state_of(scratch));
  EXPECT_EQ(run.exit_code, 4) << run.out;
  EXPECT_NE(run.out.find("--timeout: the test had run for 2.000 s"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
