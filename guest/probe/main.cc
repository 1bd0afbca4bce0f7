// ktstr-probe: the BPF loader in the VM, started by ktstr-init (guest/init/probe_link.h describes the protocol).
//
// Reads:      the plan (/ktstr/plan.bin), seccomp notifications of the scheduler, its programs and their BTF.
// Writes:     BpfProgram, BpfBtf, ProbeAttached, ProbeHit, ProbeTriggered, ProbeFinished, as frames to init's pipe.
// Trusts:     the plan (verified) and the kernel; of the scheduler's process only what the kernel says of its fds.
// On failure: it reports what could not be probed and lets the scheduler go on.
// Limits:     256 targets, 32 values each; x86-64. It never detaches, because detaching is slow and patches kernel
//             text.
#include "base/standard_fds.h"
#include "guest/probe/probe_main.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  return ktstr::probe::probe_main(argc, argv);
}
