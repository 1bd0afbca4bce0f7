// `build` of a spec's schedulers: shell commands that make the binaries, run before anything is looked for or booted.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/cli/run_plan.h"

namespace ktstr {

struct BuildStep {
  std::string scheduler;  // the first that wants it
  std::string command;    // for sh -c
  std::string folder;     // the spec's
};

// Each command of a folder once, in the order of the tests. Not those of tests that are skipped, of schedulers whose binary the
// environment names, and of C++ tests, whose list is no spec file.
std::vector<BuildStep> builds_of(const TestPlan& plan);

// In order; their output goes to stderr. The first that fails is the error: nothing is tested with a binary of yesterday.
Status run_builds(const std::vector<BuildStep>& steps, const std::function<void(const std::string&)>& say);

}  // namespace ktstr
