#include "guest/probe/event_out.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "schemas/frame_codec.h"

namespace ktstr::probe {
namespace {

constexpr int kWriteLimitMs = 20'000;  // init reads all the time; longer means that it is gone

}  // namespace

uint64_t monotonic_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

EventOut::EventOut(UniqueFd fd, EventHead head) : fd_(std::move(fd)), head_(std::move(head)) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

void EventOut::write_event(const EventBuffer& event) {
  if (broken_ || event.bytes().size() > kMaxFramePayload) {
    ++lost_;
    return;
  }
  std::vector<uint8_t> frame;
  append_frame(event.bytes(), frame);
  for (size_t at = 0; at < frame.size();) {
    ssize_t n = ::write(fd_.get(), frame.data() + at, frame.size() - at);
    if (n > 0) {
      at += static_cast<size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    pollfd p{fd_.get(), POLLOUT, 0};
    if (n < 0 && errno == EAGAIN && ::poll(&p, 1, kWriteLimitMs) > 0 && !(p.revents & POLLERR)) continue;
    broken_ = true;
    ++lost_;
    return;
  }
}

}  // namespace ktstr::probe
