// Runs the tests of a plan: one after the other in this process, or several at once, each in a process of its own.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "launcher/cli/run_plan.h"
#include "launcher/runner/ended_test.h"
#include "launcher/runner/schedule.h"

namespace ktstr {

struct RunnerRequest {
  const TestPlan* plan = nullptr;
  std::vector<size_t> order;  // indexes of the plan's tests, in the order of their start; skipped ones too
  ScheduleOptions schedule;
  uint64_t slow_ns =
      60'000'000'000;  // a test that takes longer than its own duration and this is marked as slow
  bool no_skips = false;
  bool quiet = false;
  // GitHub's log: each report is a group, and nothing in it is taken for a command of the workflow.
  bool workflow_groups = false;
};

struct RunnerResult {
  std::vector<EndedTest> ended;  // in the order of their ends; rounds are apart
  ExitCode code = ExitCode::kPass;
  size_t not_run = 0;
  std::vector<std::string> logs;  // of all tries, and of skipped tests
};

// REQUIRES: main thread; environment.signal_fd is set, and its signals are blocked. `environment` is changed for each test.
RunnerResult run_tests(const RunnerRequest& request, RunEnvironment& environment);

}  // namespace ktstr
