// restless_main_loop.so, preloaded into QEMU by a test: its main loop never sleeps, so that it does all that it can do, at any
// moment. What a loaded host makes of a course once in a while, this makes of most.
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#pragma GCC visibility push(default)
extern "C" int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  using Ppoll = int (*)(pollfd*, nfds_t, const timespec*, const sigset_t*);
  static const Ppoll real = reinterpret_cast<Ppoll>(::dlsym(RTLD_NEXT, "ppoll"));
  static const timespec at_once{};
  const bool main_thread = ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid));
  return real(fds, count, main_thread ? &at_once : timeout, mask);
}
#pragma GCC visibility pop
