// The last lines of a run: for each test that did not pass its signature, its files and the exact command
// that runs it again; what was skipped and why; what was slow; failure rates of --repeat; counts.
#pragma once

#include <string>
#include <vector>

#include "launcher/runner/ended_test.h"

namespace ktstr {

struct RunEndOptions {
  bool no_skips = false;
  bool repeated = false;  // --repeat
  size_t not_run = 0;     // tests that were planned and not started
};

std::string run_end_text(const std::vector<EndedTest>& tests, const RunEndOptions& options);

}  // namespace ktstr
