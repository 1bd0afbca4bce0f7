// Writes finished events as frames to init's pipe. Bounded: if init does not read, events are dropped and counted.
#pragma once

#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "schemas/envelope.h"

namespace ktstr::probe {

uint64_t monotonic_ns();

class EventOut {
 public:
  EventOut(UniqueFd fd, EventHead head);

  template <typename T>
  void send(T payload, uint64_t guest_ns = 0) {
    EventHead head = head_;
    head.guest_ns = guest_ns ? guest_ns : monotonic_ns();
    write_event(make_event(head, std::move(payload)));
  }
  uint64_t lost() const { return lost_; }

 private:
  void write_event(const EventBuffer& event);

  UniqueFd fd_;
  EventHead head_;
  uint64_t lost_ = 0;
  bool broken_ = false;  // a frame was cut: nothing that follows could be read
};

}  // namespace ktstr::probe
