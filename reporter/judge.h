// The verdict: cause, checks and expectations weighed into outcome and exit code (schemas/exit_code.h).
//
// An expected error (expect_err) turns a scheduler's failure into a pass when its pins match. Panics, hangs,
// failed boots, schedulers that never loaded, emulator artifacts and runs that did not finish are never
// passes.
#pragma once

#include <string>
#include <vector>

#include "reporter/cause.h"
#include "reporter/run_model.h"
#include "schemas/common_generated.h"
#include "schemas/exit_code.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct Judgement {
  Outcome outcome = Outcome::Inconclusive;
  ExitCode code = ExitCode::kInconclusive;
  FailureKind kind = FailureKind::kNone;
  std::string summary;  // one line: the BUG SUMMARY's text, or what a pass has to say
  std::string reason;   // of the error line
  std::vector<std::string>
      detail;  // lines below the error line: violated checks, what a pin missed, the access refused
  std::vector<std::string> notes;             // what is missing, and facts beside the finding
  std::string signature;                      // empty: no crash
  std::vector<std::string> evidence;          // Cause.evidence
  std::string advice;                         // Cause.advice
  FailedStep failed_step = FailedStep::None;  // how far the scheduler came; counts where the test failed
};

Judgement judge(const RunModel& model);

}  // namespace ktstr
