// The report: one line for a pass, eight sections for a failure (docs: README.md of this folder). A pure
// function of the model, so the report of a recorded log is byte for byte the one that the live run printed.
#pragma once

#include <string>

#include "reporter/judge.h"
#include "reporter/run_model.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct Report {
  Judgement judgement;
  std::string text;  // ends with a newline
};

// REQUIRES: model.finish() was called.
Report make_report(const RunModel& model);

// What the report's Verdict event says.
VerdictT verdict_of(const Judgement& judgement);

}  // namespace ktstr
