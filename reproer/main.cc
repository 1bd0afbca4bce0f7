// ktstr-reproer: turns a crash into probes, and their hits into the calls and values that led to the crash.
//
// Reads:      every event of the run; the kernel image and debug info that RunStarted names.
// Writes:     after each VmSettled exactly one of ReproRequested, ReproDeclined, ReproFinished.
// Trusts:     the launcher's events; a guest's facts are bounded and only ever shown as text.
// On failure: it leaves out what it does not know, and says so; without types it probes a chain without values.
// Limits:     x86-64; arguments in registers only; DWARF only where debug info is cached.
#include "base/standard_fds.h"
#include "reproer/reproer_role.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  ktstr::ReproerRole role;
  return ktstr::run_process(argc, argv, role);
}
