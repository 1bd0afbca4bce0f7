// Which client may state which event: decides on each message, and words the rejections (docs/protocol.md).
//
// Knows connections only as numbers; a number is in use from the first message to connection_closed(). Bounded: a
// client that makes up names or errors costs no memory and few events (one per client, word and second).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/client_generated.h"
#include "schemas/envelope.h"
#include "schemas/run_generated.h"

namespace ktstr {

// Where a message came from; asked only when the answer matters.
class Sender {
 public:
  virtual ~Sender() = default;
  virtual int connection() const = 0;           // -1: unknown
  virtual std::string description() const = 0;  // "process 4711", "10.0.0.7"; empty: unknown
  // True when it is proved that the launcher or a process that it started sends.
  virtual bool own() const { return false; }
};

class ClientGate {
 public:
  explicit ClientGate(std::string run_id) : run_id_(std::move(run_id)) {}

  // The event, if it may pass. Else nothing, and a refusal is noted.
  std::optional<EventBuffer> admit(std::span<const uint8_t> message, const Sender& sender);
  // A message that is no single frame.
  void refuse_frames(size_t frames, const Sender& sender);
  // A peer that speaks something else than ZeroMQ, or sends too much at once: "process 4711 WHAT".
  void refuse_peer(const std::string& what, const Sender& sender);
  void connection_opened(int connection);
  void connection_closed(int connection);

  // Refusals that are due to be told. `now_ns` of any steady clock; at the end UINT64_MAX gives all.
  std::vector<ClientRefusedT> due(uint64_t now_ns);
  bool pending() const { return pending_ > 0; }
  uint64_t refused() const { return refused_; }

 private:
  struct Identity {
    std::string client, name;
  };
  struct Owner {
    std::string client;
    std::set<int> connections;
  };
  struct Count {
    ClientRefusedT refusal;
    uint64_t not_before_ns = 0;
    bool told = false;
  };

  // Empty: it may pass. Else "word: sentence".
  std::string objection(const EventBuffer& event, const Sender& sender);
  std::string join(const ClientJoined& joined, std::string_view source, const Sender& sender);
  bool owns(const Owner& owner, std::string_view source, int connection) const;
  void refuse(const std::string& reason, std::string_view source, const Sender& sender);

  std::string run_id_;
  std::map<std::string, Owner, std::less<>> names_;
  std::map<int, Identity> joined_;
  std::map<int, std::string>
      departed_;  // closed, its last messages perhaps not yet read: may still use this name
  std::map<int, std::string> barred_;    // by schema version: the reason
  std::map<std::string, Count> counts_;  // by client and word
  uint64_t refused_ = 0, pending_ = 0;
};

}  // namespace ktstr
