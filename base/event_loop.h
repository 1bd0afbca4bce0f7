// PID 1's only loop: epoll and periodic ticks on one thread. Sequential code waits with run_until(), during
// which every watched fd is served.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.h"

namespace ktstr {

class EventLoop {
 public:
  EventLoop();

  // Calls `ready` with the epoll events (EPOLLIN, EPOLLHUP, …) until unwatched. The fd stays the caller's.
  void watch(int fd, uint32_t events, std::function<void(uint32_t)> ready);
  void unwatch(int fd);
  // Calls `tick` about every `period_ns` while the loop runs, for the loop's life.
  void every(uint64_t period_ns, std::function<void()> tick);
  // Called after each turn, before the loop sleeps.
  void after_turn(std::function<void()> flush) { flush_ = std::move(flush); }

  // Serves fds and ticks until `done()` or the guest's clock reaches `deadline_ns`. Returns done().
  bool run_until(const std::function<bool()>& done, uint64_t deadline_ns);

 private:
  struct Ticker {
    uint64_t period_ns;
    uint64_t due_ns;
    std::function<void()> tick;
  };
  void run_ticks();
  int wait_ms(uint64_t deadline_ns) const;

  UniqueFd epoll_;
  std::map<int, std::shared_ptr<std::function<void(uint32_t)>>> watched_;
  std::vector<Ticker> tickers_;
  std::function<void()> flush_ = [] {};
};

}  // namespace ktstr
