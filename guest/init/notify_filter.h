// The seccomp filter under which the scheduler starts: the bpf(2) command that registers a struct_ops map by a link is
// reported to a listener before it happens, so that ktstr-probe can read the programs and place its probes while the
// scheduler waits. Everything else passes untouched.
//
// A filter stays until the process ends. So it catches only what happens once per attach: a caught BPF_MAP_UPDATE_ELEM made
// sound schedulers stall whose user half answers through maps. A scheduler that registers by a map update (struct_ops without
// BPF_F_LINK) is found after it was enabled (ProbeLink::scheduler_enabled).
#pragma once

#include <linux/filter.h>

#include <vector>

namespace ktstr::guest {

// bpf(BPF_LINK_CREATE) on x86-64 -> USER_NOTIF. The filter sees argument 0, the command; what is linked, only the listener
// can tell.
std::vector<sock_filter> notify_filter();

// Installs the filter on the calling process and returns the listener, -1 with errno on failure. Needs
// CAP_SYS_ADMIN (no no_new_privs, so setuid programs stay what they are). Async-signal-safe after fork when
// `program` was built before.
int install_notify_filter(const std::vector<sock_filter>& program);

}  // namespace ktstr::guest
