#include "base/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"

namespace ktstr {

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

void EventLoop::watch(int fd, uint32_t events, std::function<void(uint32_t)> ready) {
  epoll_event ev{};
  ev.events = events;
  ev.data.fd = fd;
  watched_[fd] = std::make_shared<std::function<void(uint32_t)>>(std::move(ready));
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &ev) != 0 && errno == EEXIST)
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &ev);
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

int EventLoop::every(uint64_t period_ns, std::function<void()> tick) {
  timers_[++last_timer_] = {period_ns, now_ns() + period_ns, std::move(tick)};
  return last_timer_;
}

void EventLoop::run_ticks() {
  const uint64_t now = now_ns();
  // By number: a tick may start and cancel timers, itself too.
  for (auto it = timers_.begin(); it != timers_.end();) {
    const int id = it->first;
    if (now >= it->second.due_ns) {
      it->second.due_ns = std::max(it->second.due_ns + it->second.period_ns, now);
      auto tick = it->second.tick;
      tick();
    }
    it = timers_.upper_bound(id);
  }
}

int EventLoop::wait_ms(uint64_t deadline_ns) {
  if (std::exchange(again_, false)) return 0;
  const uint64_t now = now_ns();
  uint64_t until = deadline_ns;
  for (const auto& [id, timer] : timers_) until = std::min(until, timer.due_ns);
  if (until <= now) return 0;
  return static_cast<int>(std::min<uint64_t>((until - now + kMs - 1) / kMs, 1000));
}

bool EventLoop::run_until(const std::function<bool()>& done, uint64_t deadline_ns) {
  while (true) {
    const bool finished = done();
    flush_();
    if (finished) return true;
    if (now_ns() >= deadline_ns) return false;
    epoll_event events[16];
    int n = ::epoll_wait(epoll_.get(), events, 16, wait_ms(deadline_ns));
    for (int i = 0; i < n; ++i) {
      auto it = watched_.find(events[i].data.fd);
      if (it == watched_.end()) continue;
      auto ready = it->second;  // kept alive: the callback may unwatch itself
      (*ready)(events[i].events);
    }
    run_ticks();
  }
}

}  // namespace ktstr
