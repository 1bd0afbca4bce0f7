// What the guest's own kernel says of the scheduler: for comparison with what the monitor reads from outside.
#pragma once

#include "schemas/guest_generated.h"

namespace ktstr::guest {

// sched_ext's event counters, /proc/schedstat, and sched_ext's programs as bpf(2) tells of them. What is not
// there is left out. REQUIRES: CAP_SYS_ADMIN.
GuestViewT take_own_view();

}  // namespace ktstr::guest
