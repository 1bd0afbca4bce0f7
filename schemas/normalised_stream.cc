#include "schemas/normalised_stream.h"

#include <algorithm>

#include "base/json.h"
#include "schemas/event_generated.h"
#include "schemas/event_json.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr std::string_view kSources[] = {"guest", "probe", "collector", "monitor", "reproer"};

void add_text(Sha256& hash, std::string_view text) {
  hash.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace

bool is_in_stream(const EventBuffer& event) {
  // What somebody asked to be looked at from outside leaves the course as it is, and a run without it has no such event.
  if (auto* frozen = event.as<GuestFrozen>(); frozen && frozen->observed()) return false;
  if (event.type() == Payload::VmHeld) return false;
  return std::find(std::begin(kSources), std::end(kSources), str(event->source())) != std::end(kSources);
}

std::string stream_source(const EventBuffer& event) {
  std::string name = EnumNameVm(event.vm());
  if (event->stamp()->attempt() != 0) name += "." + std::to_string(event->stamp()->attempt());
  name += " " + std::string(str(event->source()));
  if (str(event->source()) == "collector") name += "." + std::string(payload_name(event.type()));
  return name;
}

std::string stream_line(const EventBuffer& event) {
  auto json = event_json(event);
  for (const char* key : {"seq", "host_ns", "run_id"}) json.erase(key);
  return json_text(json);
}

void NormalisedStream::add(const EventBuffer& event) {
  if (!is_in_stream(event)) return;
  ++events_;
  Sha256& hash = sources_[stream_source(event)];
  add_text(hash, stream_line(event));
  add_text(hash, "\n");
}

std::string NormalisedStream::hex() {
  Sha256 all;
  for (auto& [name, hash] : sources_) add_text(all, name + " " + hash.hex() + "\n");
  return all.hex();
}

}  // namespace ktstr
