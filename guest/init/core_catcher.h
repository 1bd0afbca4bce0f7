// The backtrace of a scheduler whose process dies by a signal.
//
// The kernel (6.16 and later) sends a core dump to a unix socket that init listens on: core_pattern
// "@/run/…". So the core passes through init, which runs whatever the scheduler under test does, and is kept
// in memory, without its zero pages. A child process then unwinds it: an unwinder that fails on a damaged
// core must not take PID 1 with it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr::guest {

class CoreCatcher {
 public:
  explicit CoreCatcher(EventLoop& loop) : loop_(loop) {}

  // Fails on a kernel without core dumps over a socket: then there are no backtraces.
  Status arm();
  // Frames of the thread that died, innermost first: "main+0x1f scx_foo.c:12 (/ktstr/sched/scx_foo)". Empty
  // if no core of that process came within `limit_ns`, or it could not be read.
  std::vector<std::string> backtrace(pid_t pid, uint64_t limit_ns);

 private:
  static constexpr uint64_t kMaxKept = 128u << 20;  // bytes of non-zero pages
  void on_connection();
  void on_bytes();
  std::vector<std::string> unwind_in_child(uint64_t limit_ns);

  EventLoop& loop_;
  UniqueFd listener_, connection_;
  UniqueFd core_;       // memfd
  pid_t core_pid_ = 0;  // whose core it is
  uint64_t offset_ = 0, kept_ = 0;
  bool complete_ = false;
};

}  // namespace ktstr::guest
