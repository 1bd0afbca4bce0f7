#include "collector/guest_gate.h"

#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/limits.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxLine = 4096;

// Extra sources in the guest ("probe", a user's collector) keep their name when it is one.
std::string sane_source(std::string_view name) {
  bool sane = !name.empty() && name.size() <= 32;
  for (char c : name)
    sane = sane && (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.');
  // Names of host processes are not a guest's to use.
  for (std::string_view host : {"launcher", "collector", "monitor", "reproer", "reporter", "hub"})
    sane = sane && name != host;
  return sane ? std::string(name) : "guest";
}

bool cut(std::string& text, size_t most = kMaxLine) {
  if (text.size() <= most) return false;
  text.resize(most);
  return true;
}

// The name that a client gave its command, as the guest repeats it.
std::string_view command_name(const Event& event) {
  auto* line = event.payload_as_CollectorLine();
  return line ? str(line->name()) : std::string_view();
}

std::string_view line_text(const Event& event) {
  switch (event.payload_type()) {
    case Payload::SchedulerLine:
      return str(event.payload_as_SchedulerLine()->text());
    case Payload::DumpLine:
      return str(event.payload_as_DumpLine()->text());
    case Payload::CollectorLine:
      return str(event.payload_as_CollectorLine()->text());
    case Payload::PayloadLine:
      return str(event.payload_as_PayloadLine()->text());
    default:
      return {};
  }
}

}  // namespace

Result<EventBuffer> GuestGate::admit(std::span<const uint8_t> payload, uint64_t host_ns) {
  auto event = check(payload);
  if (!event) {
    if (refused_++ == 0) first_refusal_ = event.error().message();
    return event;
  }
  bytes_ += payload.size();
  event->stamp_origin(options_.vm, options_.attempt);
  event->stamp_host_ns(host_ns);
  event->stamp_seq(0);
  return event;
}

Result<EventBuffer> GuestGate::check(std::span<const uint8_t> payload) {
  if (bytes_ + payload.size() > options_.max_bytes)
    return Error::exhausted("the guest sent more than " + std::to_string(options_.max_bytes >> 20) +
                            " MiB of events");
  auto event = EventBuffer::from_bytes(payload);
  if (!event) return event;
  if (!guest_may_send(event->type()))
    return Error::invalid("a guest may not send " + std::string(payload_name(event->type())));

  if (const auto* file = event->as<GuestFileSent>();
      file && (str(file->name()).size() > kMaxCommandName || str(file->path()).size() > kMaxLine ||
               str(file->error()).size() > kMaxLine || file->size() > kMaxFetchedFile ||
               (file->data() && file->data()->size() > kFetchPiece)))
    return Error::invalid("a piece of a file that is larger than any");

  const Event& ev = event->get();
  const std::string source = sane_source(str(ev.source()));
  if (str(ev.run_id()) == options_.run_id && str(ev.source()) == source && line_text(ev).size() <= kMaxLine &&
      command_name(ev).size() <= kMaxCommandName)
    return event;
  EventHead head{.run_id = options_.run_id, .source = source, .guest_ns = ev.stamp()->guest_ns()};
  if (auto* line = event->as<SchedulerLine>()) {
    SchedulerLineT fact;
    line->UnPackTo(&fact);
    fact.truncated = cut(fact.text) || fact.truncated;
    return make_event(head, std::move(fact));
  }
  if (auto* line = event->as<DumpLine>()) {
    DumpLineT fact;
    line->UnPackTo(&fact);
    fact.truncated = cut(fact.text) || fact.truncated;
    return make_event(head, std::move(fact));
  }
  if (auto* line = event->as<PayloadLine>()) {
    PayloadLineT fact;
    line->UnPackTo(&fact);
    fact.truncated = cut(fact.text) || fact.truncated;
    return make_event(head, std::move(fact));
  }
  if (auto* line = event->as<CollectorLine>()) {
    CollectorLineT fact;
    line->UnPackTo(&fact);
    fact.truncated = cut(fact.text) || fact.truncated;
    cut(fact.name, kMaxCommandName);
    return make_event(head, std::move(fact));
  }
  EventT whole;
  ev.UnPackTo(&whole);
  return make_event_impl(head, std::move(whole.payload));
}

}  // namespace ktstr
