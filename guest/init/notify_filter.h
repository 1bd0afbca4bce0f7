// The seccomp filter under which the scheduler starts: the two bpf(2) commands that can register a struct_ops
// map are reported to a listener before they happen, so that ktstr-probe can read the programs and place its
// probes while the scheduler waits. Everything else passes untouched.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/unique_fd.h"

namespace ktstr::guest {

// bpf(BPF_LINK_CREATE) and bpf(BPF_MAP_UPDATE_ELEM) on x86-64 -> USER_NOTIF. The filter sees argument 0, the
// command; what the map is, only the listener can tell.
std::vector<sock_filter> notify_filter();

// Installs the filter on the calling process and returns the listener, -1 with errno on failure. Needs
// CAP_SYS_ADMIN (no no_new_privs, so setuid programs stay what they are). Async-signal-safe after fork when
// `program` was built before.
int install_notify_filter(const std::vector<sock_filter>& program);

// Lets one waiting call go on. False: there was none.
bool continue_one(int listener);

}  // namespace ktstr::guest
