#include "guest/init/own_class.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace ktstr::guest {
namespace {

constexpr int kInitPriority = 99;
constexpr int kHelperPriority = 1;

bool set_class(int policy, int level) {
  sched_param priority{};
  priority.sched_priority = level;
  return ::sched_setscheduler(0, policy, &priority) == 0;
}

}  // namespace

bool enter_init_class() { return set_class(SCHED_FIFO | SCHED_RESET_ON_FORK, kInitPriority); }

pid_t fork_helper() {
  // A child of a thread that is reset on fork would be the scheduler's until somebody moves it.
  set_class(SCHED_FIFO, kInitPriority);
  const pid_t pid = ::fork();
  const int error = errno;
  if (pid == 0)
    set_class(SCHED_RR | SCHED_RESET_ON_FORK, kHelperPriority);
  else
    enter_init_class();
  errno = error;
  return pid;
}

int fork_error() {
  const pid_t pid = fork_helper();
  if (pid == 0) ::_exit(0);  // left to the reaper
  return pid < 0 ? errno : 0;
}

}  // namespace ktstr::guest
