#include "launcher/hub/client_gate.h"

#include "base/text.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxNames = 256;
constexpr size_t kMaxCounts = 64;
constexpr size_t kMaxDeparted = 64;
constexpr uint64_t kQuiet = 1'000'000'000;  // between two words on the same matter
constexpr uint64_t kForget = 10'000'000'000;

std::string shown(std::string_view text) { return printable(text.substr(0, kMaxName)); }

std::string_view word_of(std::string_view reason) { return reason.substr(0, reason.find(':')); }

}  // namespace

std::optional<EventBuffer> ClientGate::admit(std::span<const uint8_t> message, const Sender& sender) {
  auto event = EventBuffer::from_bytes(message);
  if (!event) {
    std::string who = sender.description();
    refuse("buffer: a message of " + std::to_string(message.size()) + " bytes" +
               (who.empty() ? "" : " from " + who) + ": " + event.error().message(),
           "", sender);
    return std::nullopt;
  }
  std::string why = objection(*event, sender);
  if (why.empty()) return std::move(event).value();
  refuse(why, str((*event)->source()), sender);
  return std::nullopt;
}

void ClientGate::refuse_frames(size_t frames, const Sender& sender) {
  std::string who = sender.description();
  refuse("buffer: a message of " + std::to_string(frames) + " frames" + (who.empty() ? "" : " from " + who) +
             ": an event is one frame",
         "", sender);
}

void ClientGate::refuse_peer(const std::string& what, const Sender& sender) {
  std::string who = sender.description();
  refuse("buffer: " + (who.empty() ? "a client" : who) + " " + what, "", sender);
}

std::string ClientGate::objection(const EventBuffer& event, const Sender& sender) {
  std::string_view source = str(event->source());
  if (!barred_.empty())
    if (auto it = barred_.find(sender.connection()); it != barred_.end()) return it->second;
  if (str(event->run_id()) != run_id_)
    return "run: the event is of the run \"" + shown(str(event->run_id())) + "\", not of \"" + run_id_ + "\"";
  bool own = is_own_source(source);
  if (own && (!sender.own() || event.type() == Payload::ClientJoined))
    return "name: \"" + std::string(source) + "\" is one of ktstr's own; choose another";
  if (event.type() == Payload::NONE || event.type() > Payload::MAX)
    return "payload: a fact of kind " + std::to_string(static_cast<int>(event.type())) +
           " is not known to this ktstr";
  if (own) return "";
  if (source.empty() || source.size() > kMaxName)
    return "name: a source name has 1 to " + std::to_string(kMaxName) + " bytes";
  if (!source_may_state(source, event.type()))
    return "payload: only ktstr's own processes state " + std::string(payload_name(event.type()));
  if (auto* joined = event.as<ClientJoined>()) return join(*joined, source, sender);
  if (names_.empty()) return "";
  auto owner = names_.find(source);
  if (owner == names_.end() || owns(owner->second, source, sender.connection())) return "";
  return "name: \"" + shown(source) + "\" is taken by another client in this run; choose another";
}

bool ClientGate::owns(const Owner& owner, std::string_view source, int connection) const {
  if (owner.connections.count(connection)) return true;
  auto it = departed_.find(connection);
  return it != departed_.end() && it->second == source;
}

std::string ClientGate::join(const ClientJoined& joined, std::string_view source, const Sender& sender) {
  int connection = sender.connection();
  std::string client = shown(str(joined.client()));
  if (auto it = joined_.find(connection); it != joined_.end() && it->second.name != source) {
    auto owner = names_.find(it->second.name);
    if (owner != names_.end() && owner->second.connections.count(connection))
      return "name: this connection has joined as \"" + it->second.name + "\" already";
  }
  // Also a client that is refused is called by its own token. Without a place here a name could never be freed.
  if (joined_.size() >= kMaxNames && !joined_.contains(connection))
    return "name: " + std::to_string(kMaxNames) + " clients are connected; no more can join";
  joined_[connection] = {client, std::string(source)};
  if (joined.schema_version() == 0 || joined.schema_version() > kSchemaVersion) {
    std::string reason = "schema: the client speaks schema version " +
                         std::to_string(joined.schema_version()) + ", this ktstr speaks " +
                         std::to_string(kSchemaVersion) + "; build it with the schemas of this ktstr";
    if (barred_.size() < kMaxNames) barred_[connection] = reason;
    return reason;
  }
  if (str(joined.name()) != source)
    return "name: the client joins as \"" + shown(str(joined.name())) + "\" but its source is \"" +
           shown(source) + "\"";
  auto owner = names_.find(source);
  if (owner == names_.end()) {
    if (names_.size() >= kMaxNames)
      return "name: " + std::to_string(kMaxNames) + " clients have joined; no more can";
    owner = names_.emplace(std::string(source), Owner{client, {}}).first;
  } else if (!owner->second.connections.count(connection) &&
             (client.empty() || owner->second.client != client)) {
    return "name: \"" + shown(source) + "\" is taken by another client in this run; choose another";
  }
  owner->second.connections.insert(connection);
  return "";
}

void ClientGate::connection_opened(int connection) { departed_.erase(connection); }

void ClientGate::connection_closed(int connection) {
  barred_.erase(connection);
  auto it = joined_.find(connection);
  if (it == joined_.end()) return;
  auto owner = names_.find(it->second.name);
  if (owner != names_.end() && owner->second.connections.erase(connection)) {
    if (departed_.size() >= kMaxDeparted) departed_.erase(departed_.begin());
    departed_[connection] = it->second.name;
    if (owner->second.connections.empty()) names_.erase(owner);
  }
  joined_.erase(it);
}

void ClientGate::refuse(const std::string& reason, std::string_view source, const Sender& sender) {
  ++refused_;
  Identity identity;
  if (!joined_.empty())
    if (auto it = joined_.find(sender.connection()); it != joined_.end()) identity = it->second;
  if (!source.empty()) identity.name = shown(source);
  std::string key = identity.client + "\n" + identity.name + "\n" + std::string(word_of(reason));
  auto it = counts_.find(key);
  if (it == counts_.end()) {
    if (counts_.size() >= kMaxCounts) {
      // Somebody makes up names: counted together.
      key = "\n\n" + std::string(word_of(reason));
      identity = {};
    }
    it = counts_.try_emplace(key).first;
    it->second.refusal.client = identity.client;
    it->second.refusal.name = identity.name;
  }
  Count& count = it->second;
  if (count.refusal.refused++ == 0) ++pending_;
  count.refusal.reason = reason;
}

std::vector<ClientRefusedT> ClientGate::due(uint64_t now_ns) {
  std::vector<ClientRefusedT> told;
  for (auto it = counts_.begin(); it != counts_.end();) {
    Count& count = it->second;
    if (count.refusal.refused == 0) {
      bool old = now_ns >= count.not_before_ns && now_ns - count.not_before_ns > kForget;
      it = old ? counts_.erase(it) : std::next(it);
      continue;
    }
    if (!count.told || now_ns >= count.not_before_ns) {
      told.push_back(count.refusal);
      count.refusal.refused = 0;
      count.not_before_ns = now_ns + kQuiet;
      count.told = true;
      --pending_;
    }
    ++it;
  }
  return told;
}

}  // namespace ktstr
