// What the host sends over the event channel: frames of commands, and the acknowledgement of GuestFinished. Bytes in,
// events out.
#pragma once

#include <optional>
#include <span>

#include "schemas/envelope.h"
#include "schemas/frame_codec.h"

namespace ktstr::guest {

// The collector's answer to GuestFinished: a frame with this one byte.
inline constexpr uint8_t kHostGoodbye = 'K';

class HostInput {
 public:
  void feed(std::span<const uint8_t> bytes) { decoder_.feed(bytes); }

  // The next event from the host. Empty: more bytes are needed, or the host said goodbye. What is damaged is
  // left out.
  std::optional<EventBuffer> next() {
    while (!goodbye_) {
      auto payload = decoder_.next();
      if (!payload) return std::nullopt;
      if (payload->size() == 1 && (*payload)[0] == kHostGoodbye) {
        goodbye_ = true;
        break;
      }
      if (auto event = EventBuffer::from_bytes(*payload)) return std::move(event).value();
    }
    return std::nullopt;
  }
  // All that the guest said has arrived; nothing more will come.
  bool goodbye() const { return goodbye_; }

 private:
  FrameDecoder decoder_;
  bool goodbye_ = false;
};

}  // namespace ktstr::guest
