#include "guest/init/event_channel.h"

#include <poll.h>

#include "schemas/common_generated.h"
#include "schemas/frame_codec.h"

namespace ktstr::guest {

void EventChannel::identify(std::string run_id, Vm vm, uint8_t attempt) {
  head_.run_id = std::move(run_id);
  head_.vm = vm;
  head_.attempt = attempt;
}

void EventChannel::send_payload(std::span<const uint8_t> event) {
  if (broken_ || event.size() > kMaxFramePayload) {
    ++dropped_;
    return;
  }
  if (queue_.size() - sent_ + event.size() > kMaxQueue && !write_out(kBlockMs, kMaxQueue / 2)) {
    ++dropped_;
    return;
  }
  append_frame(event, queue_);
  ++frames_;
  if (queue_.size() - sent_ >= kBatch) pump();
}

void EventChannel::pump() { write_out(0, 0); }

// Until at most `until` bytes are queued. False: no progress for `limit_ms`, or the carrier failed.
bool EventChannel::write_out(int limit_ms, size_t until) {
  while (!broken_ && queue_.size() - sent_ > until) {
    auto n = carrier_->write(std::span(queue_).subspan(sent_));
    if (!n) {
      broken_ = true;
      break;
    }
    sent_ += *n;
    if (*n == 0 && (limit_ms == 0 || !carrier_->wait_writable(limit_ms))) break;
  }
  const bool reached = queue_.size() - sent_ <= until;
  if (sent_ == queue_.size()) {
    queue_.clear();
    sent_ = 0;
  } else if (sent_ > kMaxQueue / 2) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
  return reached && !broken_;
}

bool EventChannel::drain(int limit_ms) {
  if (!write_out(limit_ms, 0)) return false;
  return carrier_->input_fd() < 0 ? carrier_->flush(limit_ms) : await_goodbye(limit_ms);
}

bool EventChannel::read_input() {
  uint8_t chunk[32 * 1024];
  // Bounded: a host that floods us must not keep us from our own work.
  for (int i = 0; i < 16; ++i) {
    auto n = carrier_->read(chunk);
    if (!n) return false;
    if (*n == 0) return true;
    input_.feed(std::span(chunk, *n));
  }
  return true;
}

bool EventChannel::await_goodbye(int limit_ms) {
  const uint64_t deadline = now_ns() + static_cast<uint64_t>(limit_ms) * kMs;
  while (true) {
    const bool open = take_input([](const EventBuffer&) {});
    if (input_.goodbye()) return true;
    const uint64_t now = now_ns();
    if (!open || now >= deadline) return false;
    pollfd p{carrier_->input_fd(), POLLIN, 0};
    ::poll(&p, 1, static_cast<int>((deadline - now + kMs - 1) / kMs));
    if ((p.revents & (POLLHUP | POLLERR)) != 0 && (p.revents & POLLIN) == 0) return false;
  }
}

}  // namespace ktstr::guest
