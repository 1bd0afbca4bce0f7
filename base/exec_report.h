// Whether a forked child could exec its program: its end of a pipe closes on exec, or brings errno.
#pragma once

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"

namespace ktstr {

// errno of the child's exec, 0: it succeeded, or the child has not come to it yet. PID 1 must not wait for
// that: a scheduler may never run the child. One that fails later says so on its stderr and ends with 127.
// A child that failed is left to the reaper.
inline int exec_error(int report, uint64_t limit_ns = 500 * kMs) {
  const uint64_t deadline = now_ns() + limit_ns;
  pollfd ready{report, POLLIN, 0};
  for (uint64_t now; (now = now_ns()) < deadline;) {
    const int n = ::poll(&ready, 1, static_cast<int>((deadline - now + kMs - 1) / kMs));
    if (n == 0 || (n < 0 && errno == EINTR)) continue;
    int error = 0;
    return n > 0 && ::read(report, &error, sizeof error) == sizeof error ? error : 0;
  }
  return 0;
}

// Signals that ask or make a program end: one that dies by another has crashed, though it was asked to end.
inline bool ends_as_asked(int signo) { return signo == SIGTERM || signo == SIGKILL; }

}  // namespace ktstr
