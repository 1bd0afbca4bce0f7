// The test's checks over a workload that ran to its end: its workers', its payloads', its body's. One line
// for each that is violated, with the observed value and the threshold, and one for each that could not be
// evaluated (which is never a pass).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reporter/run_model.h"

namespace ktstr {

struct CheckResults {
  std::vector<std::string> violated;
  std::vector<std::string> unknown;
  std::optional<std::string> skipped;  // the body says that it cannot be run here, and why
  void add(CheckResults more) {
    for (std::string& text : more.violated) violated.push_back(std::move(text));
    for (std::string& text : more.unknown) unknown.push_back(std::move(text));
  }
};

CheckResults run_checks(const RunModel& model);

}  // namespace ktstr
