// The events of a deterministic run in an order that the host has no part in: those of a VM are held until it has settled, then
// come by the guest's clock. Their host stamps become guest time, so that every length in the report is the guest's.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "schemas/envelope.h"

namespace ktstr {

class GuestOrder {
 public:
  static constexpr size_t kMaxHeld = 512u << 20;  // bytes; more come in the order of the log

  // True: the event is held. False: it is the caller's, after what take() gives.
  bool hold(const EventBuffer& event);
  // What was held, in order.
  std::vector<EventBuffer> take();

 private:
  std::vector<EventBuffer> held_;
  size_t bytes_ = 0;
};

}  // namespace ktstr
