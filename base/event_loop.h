// The one poll loop of ktstr's programs: epoll and periodic ticks on one thread. ktstr-init, the launcher's run and
// the helper processes (runtime/process) all wait here. Sequential code waits with run_until(), during which every
// watched fd is served. Sockets of ZeroMQ that a thread of their own serves use ZeroMQ's poller (launcher/hub).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/unique_fd.h"

namespace ktstr {

class EventLoop {
 public:
  EventLoop();

  // Calls `ready` with the epoll events (EPOLLIN, EPOLLHUP, …) until unwatched. The fd stays the caller's, who
  // unwatches it before closing it.
  void watch(int fd, uint32_t events, std::function<void(uint32_t)> ready);
  void unwatch(int fd);
  // Calls `tick` about every `period_ns` while the loop runs; the result is for cancel(). A late tick is not made up
  // for.
  int every(uint64_t period_ns, std::function<void()> tick);
  void cancel(int timer) { timers_.erase(timer); }
  // Called after each turn, before the loop sleeps.
  void after_turn(std::function<void()> flush) { flush_ = std::move(flush); }
  // The next turn does not sleep: there is more to do, and fds and ticks come first.
  void again() { again_ = true; }

  // Serves fds and ticks until `done()` or the guest's clock reaches `deadline_ns`. Returns done().
  bool run_until(const std::function<bool()>& done, uint64_t deadline_ns);

 private:
  struct Timer {
    uint64_t period_ns;
    uint64_t due_ns;
    std::function<void()> tick;
  };
  void run_ticks();
  int wait_ms(uint64_t deadline_ns);

  UniqueFd epoll_;
  std::map<int, std::shared_ptr<std::function<void(uint32_t)>>> watched_;
  std::map<int, Timer> timers_;
  int last_timer_ = 0;
  bool again_ = false;
  std::function<void()> flush_ = [] {};
};

}  // namespace ktstr
