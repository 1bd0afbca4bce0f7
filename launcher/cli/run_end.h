// The last lines of a run: for each test that did not pass its signature, its files and the exact command
// that runs it again; what was skipped and why; counts.
#pragma once

#include <string>
#include <vector>

#include "launcher/run/run_session.h"

namespace ktstr {

struct EndedTest {
  std::string name;
  RunOutcome result;
  std::string skip;  // set: it was not run, and why
};

std::string run_end_text(const std::vector<EndedTest>& tests, bool no_skips);

}  // namespace ktstr
