// ktstr-reporter: turns the events of a run into its report and its verdict.
//
// Reads:      every event of the run from the bus, up to FactsCompleted; or a recorded events.ktlog
//             (ktstr-reporter LOG).
// Writes:     the report to stdout and, with --report-file, to a file (complete or not at all); on the bus one Verdict.
// Trusts:     the launcher's events. It removes escapes and control characters from guest text before it prints it.
// On failure: the launcher runs it again over the log. The report depends on the recorded events alone: it reads no
//             clock, no environment and no file but the log. A damaged log is used up to the damage.
// Limits:     long logs are folded and cut in the middle; memory does not grow with the number of events.
// Exit code:  live 0; over a log the verdict's code (schemas/exit_code.h).
#include "base/standard_fds.h"
#include "reporter/reporter_role.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  ktstr::ReporterRole role;
  return ktstr::run_process(argc, argv, role);
}
