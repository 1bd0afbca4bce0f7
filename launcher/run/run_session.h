// One test: bus, helpers, primary VM, the repro VMs that the reproer asks for, verdict.
//
// All that happens is an event; this class only reacts to events, to the ends of processes and to deadlines.
#pragma once

#include <string>

#include "base/result.h"
#include "launcher/run/run_environment.h"
#include "schemas/exit_code.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct TestSpecT;

struct RunOutcome {
  ExitCode code = ExitCode::kInfrastructure;
  Outcome outcome = Outcome::Inconclusive;
  std::string log;             // events.ktlog; empty when none was begun
  std::string report;          // report.txt
  std::string summary;         // Verdict.summary
  std::string rerun;           // the command that reruns this test
  std::string signature = {};  // of the crash
};

// REQUIRES: main thread. Errors are those that keep a report from existing at all; each is an infrastructure failure.
Result<RunOutcome> run_test(const TestSpecT& spec, RunEnvironment& environment);

}  // namespace ktstr
