// The test's checks over a workload that ran to its end: one line for each that is violated, with the
// observed value and the threshold, and one for each that could not be evaluated (which is never a pass).
#pragma once

#include <string>
#include <vector>

#include "reporter/run_model.h"

namespace ktstr {

struct CheckResults {
  std::vector<std::string> violated;
  std::vector<std::string> unknown;
};

CheckResults run_checks(const RunModel& model);

}  // namespace ktstr
