// ktstr-monitor: watches the scheduler of each VM from outside, in the guest's RAM.
//
// Reads:   RunStarted, VmStarted, StageReached, VmExited, RunFinished; the RAM file and the QMP socket that
//          VmStarted names; QEMU's threads in /proc.
// Writes:  MonitorAttached or MonitorUnavailable, MonitorSample every 100 ms, GuestFrozen and frozen.json
//          when the scheduler exits, MapWritten, WatchdogSet, MonitorStopped; one session a VM. Into the
//          guest: only what the spec says.
// Trusts:  the launcher. Nothing in guest memory: every pointer, count and list is bounded.
// On failure: a sample that fails is skipped and counted; a kernel that cannot be read is MonitorUnavailable
//          with the reason; a QEMU that does not answer is not paused. The run goes on in any case.
// Limits:  x86-64 guests with KALLSYMS_ALL and BTF, Linux 6.16 and newer; at most 1024 CPUs.
#include "base/standard_fds.h"
#include "monitor/monitor_role.h"

int main(int argc, char** argv) {
  ktstr::secure_standard_fds();
  ktstr::MonitorRole role;
  return ktstr::run_process(argc, argv, role);
}
