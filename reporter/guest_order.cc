#include "reporter/guest_order.h"

#include <algorithm>
#include <map>
#include <string>

#include "schemas/event_generated.h"
#include "schemas/normalised_stream.h"
#include "schemas/run_generated.h"
#include "schemas/unpack.h"

namespace ktstr {

bool GuestOrder::hold(const EventBuffer& event) {
  const bool of_vm = event.vm() != Vm::Host && event.type() != Payload::VmSettled;
  if (!of_vm || bytes_ > kMaxHeld) return false;
  bytes_ += event.bytes().size();
  held_.push_back(event.clone());
  return true;
}

std::vector<EventBuffer> GuestOrder::take() {
  struct Key {
    uint64_t guest_ns;
    std::string source;
    size_t index;
  };
  std::vector<Key> keys;
  std::map<std::string, uint64_t> newest;  // by source: within one the order of the log stays
  uint64_t last = 0;
  for (size_t i = 0; i < held_.size(); ++i) {
    const EventBuffer& event = held_[i];
    std::string source = stream_source(event);
    uint64_t& now = newest[source];
    now = std::max(now, event->stamp()->guest_ns());
    last = std::max(last, now);
    keys.push_back({now, std::move(source), i});
  }
  for (Key& key : keys) {
    const Payload type = held_[key.index].type();
    // The launcher and what was concluded when the VM had ended have no guest time of their own.
    if (type == Payload::VmExited || type == Payload::CrashDetected || type == Payload::CollectorDrained ||
        type == Payload::MonitorStopped)
      key.guest_ns = last;
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return std::tie(a.guest_ns, a.source, a.index) < std::tie(b.guest_ns, b.source, b.index);
  });
  std::vector<EventBuffer> out;
  out.reserve(keys.size());
  for (const Key& key : keys) {
    if (auto* exited = held_[key.index].as<VmExited>()) {
      auto fact = unpack<VmExitedT>(*exited);
      fact.duration_ns = last;
      out.push_back(make_event({.run_id = std::string(str(held_[key.index]->run_id())),
                                .source = std::string(str(held_[key.index]->source())),
                                .vm = held_[key.index].vm(),
                                .attempt = held_[key.index]->stamp()->attempt()},
                               std::move(fact)));
    } else {
      out.push_back(std::move(held_[key.index]));
    }
    out.back().stamp_host_ns(key.guest_ns);
  }
  held_.clear();
  bytes_ = 0;
  return out;
}

}  // namespace ktstr
