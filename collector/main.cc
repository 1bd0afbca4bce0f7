// ktstr-collector: turns the output of the VMs into events.
//
// Reads:      consoles and event channels of the VMs (unix sockets in the bus folder); VmStarted, VmExited,
//             GuestCommandRequested.
// Writes:     ConsoleLine, StageReached (KernelStarted), the guest's own events, CrashDetected, CollectorDrained.
// Trusts:     nothing that comes from a guest: bounds, CRC, FlatBuffers verifier, a list of the events that a guest
//             may send, and an origin stamped here. Text is passed on unchanged; the reporter makes it printable.
// On failure: damage is counted and reported in CollectorDrained; a dead hub ends the process.
// Limits:     4 KiB a line, 8 MiB a frame, 1 GiB of events and 256 MiB of console a VM; reads only as fast as the
//             hub stores.
#include "base/standard_fds.h"
#include "collector/collector_role.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  ktstr::CollectorRole role;
  return ktstr::run_process(argc, argv, role);
}
