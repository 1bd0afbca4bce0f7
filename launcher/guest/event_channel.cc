#include "launcher/guest/event_channel.h"

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

bool EventChannel::drain(int limit_ms) { return write_out(limit_ms, 0) && carrier_->flush(limit_ms); }

}  // namespace ktstr::guest
