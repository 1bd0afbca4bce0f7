// What the monitor has to say on the test's outcome: thresholds, writes into maps, the watchdog.
#pragma once

#include "reporter/checks.h"

namespace ktstr {

// REQUIRES: the workload ran to its end. `violated`: a threshold was exceeded for as long as the spec says,
// and it is enforced, or a CPU was stuck and the spec says fail_on_stall. `unknown`: one of them could not be
// evaluated, or what the spec told the monitor to write was not written: the test is then not the one that was
// asked for.
CheckResults monitor_checks(const RunModel& model);

// The same for the report, enforced or not.
struct MonitorFindings {
  std::vector<std::string> exceeded;  // thresholds that `enforce` governs
  std::vector<std::string> stuck;     // what fail_on_stall found; it judges with and without `enforce`
  std::vector<std::string> unknown;
};
MonitorFindings monitor_findings(const VmRecord& vm);

}  // namespace ktstr
