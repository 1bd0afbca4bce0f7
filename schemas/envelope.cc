#include "schemas/envelope.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/unpack_bound.h"
#include "schemas/workload_generated.h"

namespace ktstr {

Result<EventBuffer> EventBuffer::from_bytes(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxEventBytes)
    return Error::invalid("event of " + std::to_string(bytes.size()) + " bytes is over the limit of " +
                          std::to_string(kMaxEventBytes));
  // Verified in the copy: FlatBuffers wants the alignment that a heap block has and a slice of a stream has not.
  EventBuffer event(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  if (bytes.size() < 8 || !EventBufferHasIdentifier(event.bytes_.data()))
    return Error::invalid("not an event buffer (identifier KTEV missing)");
  flatbuffers::Verifier verifier(event.bytes_.data(), event.bytes_.size(), /*max_depth=*/32,
                                 /*max_tables=*/1'000'000);
  if (!VerifyEventBuffer(verifier)) return Error::invalid("event buffer is damaged (FlatBuffers verifier)");
  if (event.type() == Payload::NONE) return Error::invalid("event buffer has no payload type");
  if (auto sound = check_layout(event.get(), event.bytes_); !sound) return std::move(sound).error();
  return event;
}

void EventBuffer::stamp_seq(uint64_t seq) {
  const Stamp& was = *get().stamp();
  set_stamp(Stamp(seq, was.host_ns(), was.guest_ns(), was.vm(), was.attempt()));
}

void EventBuffer::stamp_host_ns(uint64_t ns) {
  const Stamp& was = *get().stamp();
  set_stamp(Stamp(was.seq(), ns, was.guest_ns(), was.vm(), was.attempt()));
}

void EventBuffer::stamp_origin(Vm vm, uint8_t attempt) {
  const Stamp& was = *get().stamp();
  set_stamp(Stamp(was.seq(), was.host_ns(), was.guest_ns(), vm, attempt));
}

void EventBuffer::set_stamp(const Stamp& stamp) {
  const auto place = reinterpret_cast<const uint8_t*>(get().stamp()) - bytes_.data();
  std::memcpy(bytes_.data() + place, &stamp, sizeof(stamp));
}

EventBuffer make_event_impl(const EventHead& head, PayloadUnion&& payload) {
  flatbuffers::FlatBufferBuilder fbb(512);
  auto run_id = fbb.CreateString(head.run_id);
  auto source = fbb.CreateString(head.source);
  auto packed = payload.Pack(fbb);
  Stamp stamp(0, head.host_ns, head.guest_ns, head.vm, head.attempt);
  EventBuilder builder(fbb);
  builder.add_stamp(&stamp);
  builder.add_run_id(run_id);
  builder.add_source(source);
  builder.add_payload_type(payload.type);
  builder.add_payload(packed);
  FinishEventBuffer(fbb, builder.Finish());
  return EventBuffer(std::vector<uint8_t>(fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize()));
}

std::string_view payload_name(Payload type) { return EnumNamePayload(type); }

bool guest_may_send(Payload type) {
  switch (type) {
    case Payload::GuestHello:
    case Payload::StageReached:
    case Payload::GuestFailed:
    case Payload::PhaseStarted:
    case Payload::GuestFinished:
    case Payload::SchedulerLine:
    case Payload::DumpLine:
    case Payload::SchedulerStarted:
    case Payload::SchedulerAttached:
    case Payload::SchedulerDetached:
    case Payload::SchedulerExited:
    case Payload::BpfProgram:
    case Payload::BpfBtf:
    case Payload::WorkerReport:
    case Payload::CollectorLine:
    case Payload::OpApplied:
    case Payload::PayloadStarted:
    case Payload::PayloadLine:
    case Payload::PayloadExited:
    case Payload::CheckReported:
    case Payload::GuestView:
    case Payload::GuestCommandExited:
    case Payload::GuestFileSent:
    case Payload::ProbeAttached:
    case Payload::ProbeHit:
    case Payload::ProbeTriggered:
    case Payload::ProbeFinished:
      return true;
    default:
      return false;
  }
}

bool is_own_source(std::string_view source) {
  return std::find(std::begin(kOwnSources), std::end(kOwnSources), source) != std::end(kOwnSources);
}

bool source_may_state(std::string_view source, Payload type) {
  // What an extra collector says is shown, and changes no verdict.
  return is_own_source(source) || type == Payload::CollectorLine || type == Payload::ClientJoined ||
         type == Payload::GuestCommandRequested || type == Payload::ProducerHeld ||
         type == Payload::MetricsDeclared;
}

}  // namespace ktstr
