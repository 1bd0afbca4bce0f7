// ktstr-collector: what the guests say becomes events.
//
// Reads      consoles and event channels of the VMs (unix sockets in the bus folder); VmStarted, VmExited.
// Writes     ConsoleLine, StageReached{KernelStarted}, the guest's own facts, CrashDetected,
// CollectorDrained. Trusts     nothing that comes from a guest: bounds, CRC, FlatBuffers verifier, a list of
// what a guest may state,
//            and the origin stamped here. Text is passed on raw; who prints it makes it safe.
// On failure damage is counted and told in CollectorDrained; a dead hub ends the process.
// Limits     4 KiB a line, 8 MiB a frame, 1 GiB of events and 256 MiB of console a VM; reads only as fast as
// the hub stores.
#include "collector/collector_role.h"

int main(int argc, char** argv) {
  ktstr::CollectorRole role;
  return ktstr::run_process(argc, argv, role);
}
