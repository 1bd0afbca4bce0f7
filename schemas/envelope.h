// The envelope: one verified Event in a buffer, as it travels on the bus, in the log and on the guest channel.
//
// The bytes are a finished FlatBuffer (schemas/event.fbs, file identifier "KTEV"). Nothing reads a field before the
// FlatBuffers verifier has passed the whole buffer. Only the Stamp is ever changed afterwards, in place: it is proved before
// that no other part of the buffer shares its bytes (schemas/unpack_bound.h), so what is stored verifies as stored.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "schemas/event_generated.h"

namespace ktstr {

// Grows when an older reader would misread a newer log. Added fields and payloads do not count.
inline constexpr uint32_t kSchemaVersion = 1;
// No event is larger: a bound for readers of untrusted bytes. BpfBtf is the largest, well under it.
inline constexpr size_t kMaxEventBytes = 16u << 20;

// An owned, verified event. Cheap to move, copied only on purpose.
class EventBuffer {
 public:
  // Copies and verifies: every buffer from outside comes in here. What passes may be stamped, unpacked and printed: that takes
  // memory in proportion to the buffer. Errors (kInvalid): too large, wrong identifier, verifier or check_layout() refused.
  static Result<EventBuffer> from_bytes(std::span<const uint8_t> bytes);

  const Event& get() const { return *flatbuffers::GetRoot<Event>(bytes_.data()); }
  const Event* operator->() const { return &get(); }
  std::span<const uint8_t> bytes() const { return bytes_; }
  EventBuffer clone() const { return EventBuffer(bytes_); }

  Payload type() const { return get().payload_type(); }
  uint64_t seq() const { return get().stamp()->seq(); }
  Vm vm() const { return get().stamp()->vm(); }
  // The payload as table T, or null when it is another one:  if (auto* line = ev.as<ConsoleLine>()) ...
  template <typename T>
  const T* as() const {
    return get().payload_as<T>();
  }

  void stamp_seq(uint64_t seq);
  void stamp_host_ns(uint64_t ns);
  // The collector stamps the VM that an event came from: a guest cannot choose it.
  void stamp_origin(Vm vm, uint8_t attempt);

 private:
  friend EventBuffer make_event_impl(const struct EventHead&, PayloadUnion&&);
  explicit EventBuffer(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  void set_stamp(const Stamp& stamp);

  std::vector<uint8_t> bytes_;
};

// Everything of an event but its payload.
struct EventHead {
  std::string run_id;
  std::string source;
  Vm vm = Vm::Host;
  uint8_t attempt = 0;
  uint64_t host_ns = 0;
  uint64_t guest_ns = 0;
};

EventBuffer make_event_impl(const EventHead& head, PayloadUnion&& payload);

// Builds an event; T is a generated object type: make_event(head, ConsoleLineT{...}).
template <typename T>
EventBuffer make_event(const EventHead& head, T payload) {
  PayloadUnion u;
  u.Set(std::move(payload));
  return make_event_impl(head, std::move(u));
}

// The payload type's name: "ConsoleLine". For logs and filters.
std::string_view payload_name(Payload type);

// True for facts that a guest may state (console and channel facts). All else from a guest is refused.
bool guest_may_send(Payload type);

// The names under which our own processes publish.
inline constexpr std::string_view kOwnSources[] = {"launcher", "hub",      "collector", "monitor",
                                                   "reproer",  "reporter", "guest",     "probe"};
bool is_own_source(std::string_view source);
// True unless an extra collector states what only our own processes know (RunFinished, Verdict, …): it may state what a
// guest may. Guards against mistakes, not malice: a client of the bus can take any name.
bool source_may_state(std::string_view source, Payload type);

inline std::string_view str(const flatbuffers::String* s) {
  return s ? std::string_view(s->data(), s->size()) : std::string_view();
}

}  // namespace ktstr
