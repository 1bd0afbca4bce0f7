// ktstr-launch: the command line, kernels, VMs and the hub of a run.
//
// Reads   test specs (TOML), kernels (cache or path), events of the helpers over the bus.
// Writes  events.ktlog (its hub appends every event before anyone sees it); starts QEMU and the helper processes
//         ktstr-collector, -monitor, -reproer, -reporter; publishes the facts of the run and of its VMs.
// Trusts  the user's files and its own helpers; nothing that comes from a guest.
// Fails   as schemas/exit_code.h says. A lost helper is an event and a line in the report; a full disk ends the run.
//         Killed, it leaves no process and no socket, and a log that still yields a report.
#include <sys/stat.h>

#include "base/log.h"
#include "base/standard_fds.h"
#include "launcher/cli/command_line.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  ::umask(::umask(022) | 022);  // its folders are nobody else's to write, whatever the shell says
  ktstr::start_log({.process = "launcher", .program = "ktstr-launch"});
  return ktstr::launch_main(argc, argv);
}
