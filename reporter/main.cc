// ktstr-reporter: turns the facts of a run into its report and its verdict.
//
// Reads:    every event of the run from the bus, up to FactsCompleted; or a recorded events.ktlog
// (ktstr-reporter LOG). Writes:   the report to stdout and, with --report-file, to a file (whole or not at
// all); on the bus one Verdict. Trusts:   the launcher's facts. Text from guests is stripped of escapes and
// control characters before it is printed. Failure:  if it dies, the launcher runs it again over the log: the
// report is a pure function of the recorded events,
//           it reads no clock, no environment and no file but the log. A damaged log is used up to the
//           damage.
// Limits:   long logs are folded and cut in the middle; memory stays flat however many events come.
// Exit:     live 0; over a log the verdict's code (schemas/exit_code.h).
#include "reporter/reporter_role.h"

int main(int argc, char** argv) {
  ktstr::ReporterRole role;
  return ktstr::run_process(argc, argv, role);
}
