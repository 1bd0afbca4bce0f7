// What the host sends over the event channel: frames of commands, the acknowledgement of GuestFinished, messages for a shell.
// Bytes in, events out.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "schemas/envelope.h"
#include "schemas/frame_codec.h"
#include "schemas/shell_message.h"

namespace ktstr::guest {

// The collector's answer to GuestFinished: a frame with this one byte.
inline constexpr uint8_t kHostGoodbye = 'K';

class HostInput {
 public:
  void feed(std::span<const uint8_t> bytes) { decoder_.feed(bytes); }

  // Gets the messages for a shell, from next().
  void on_shell(std::function<void(const ShellMessage&)> take) { shell_ = std::move(take); }

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
      if (const auto* message = as_shell_message(*payload)) {
        if (shell_) shell_(*message);
        continue;
      }
      if (auto event = EventBuffer::from_bytes(*payload)) return std::move(event).value();
    }
    return std::nullopt;
  }
  // All that the guest said has arrived; nothing more will come.
  bool goodbye() const { return goodbye_; }

 private:
  FrameDecoder decoder_;
  std::function<void(const ShellMessage&)> shell_;
  bool goodbye_ = false;
};

}  // namespace ktstr::guest
