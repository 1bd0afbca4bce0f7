// Scheduling classes of init's own threads and helper processes: all stand outside of SCHED_EXT, so that nothing of ktstr
// waits for the scheduler under test.
//
// init and the attach gate: SCHED_FIFO 99, above every worker that a spec can ask for (98 at most), so that real-time hogs
// on all CPUs do not keep the test from ending. They sleep nearly all the time.
// Helpers (ktstr-probe, the unwinder of core dumps): SCHED_RR 1, the lowest that the scheduler under test does not run.
// All are reset on fork: workers, payloads and the scheduler are ordinary tasks.
#pragma once

#include <sys/types.h>

namespace ktstr::guest {

// Makes the calling thread one of init's. False with errno.
bool enter_init_class();
// As fork(); the child is a helper from its first instruction on.
pid_t fork_helper();
// Whether init can fork now: 0, or the errno of a fork whose child does nothing.
int fork_error();

}  // namespace ktstr::guest
