// A process's publisher and subscriber on the bus (docs/protocol.md). The run's bus folder (0700) holds ingest.sock
// (PUSH to the hub's PULL), events.sock (SUB from the hub's PUB), repair.sock (DEALER to its ROUTER); or, over TCP with
// CURVE keys, on three ports in a row.
//
// Messages: one frame each way, an Event FlatBuffer; the hub's announcement is a frame of 8 bytes, the newest seq.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "runtime/curve_keys.h"
#include "runtime/push_socket.h"
#include "runtime/repair_source.h"
#include "schemas/envelope.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace ktstr {

struct BusAddress {
  std::string ingest;  // "ipc:///run/…/ingest.sock"
  std::string events;
  std::string repair;
  std::optional<ClientKey> key;  // for TCP
  static BusAddress in_folder(const std::string& folder);
  // "tcp://HOST:PORT": events at PORT, ingest at PORT+1, repair at PORT+2.
  static Result<BusAddress> remote(const std::string& endpoint);
};

// Lossless: a full hub blocks the caller (back-pressure). On the hub's own host, what was published is recorded even if
// the publisher ends at once. When blocking has taken a second in all, the publisher sends ProducerHeld, under the
// source of the event that waited. REQUIRES: on the hub's own host, the hub is there when connect() is called.
class Publisher {
 public:
  static Result<Publisher> connect(zmq::context_t& context, const BusAddress& address);
  Publisher(Publisher&&) noexcept;
  Publisher& operator=(Publisher&&) noexcept;
  ~Publisher();

  Status publish(const EventBuffer& event);
  // Called about once a second while the hub blocks us; true makes publish() fail instead of waiting.
  void set_give_up(std::function<bool()> give_up) { give_up_ = std::move(give_up); }
  // Times that publish() had to wait for the hub, for a second or more each.
  uint64_t held_back() const { return held_back_; }

 private:
  Publisher(std::optional<PushSocket> local, std::unique_ptr<zmq::socket_t> remote);
  // False: the hub holds us back.
  Result<bool> try_send(const EventBuffer& event, std::chrono::milliseconds patience);
  Status send_waiting(const EventBuffer& event);

  std::optional<PushSocket> local_;
  std::unique_ptr<zmq::socket_t> remote_;
  std::function<bool()> give_up_;
  uint64_t held_back_ = 0;
  uint64_t held_events_ = 0;  // since the last ProducerHeld
  std::chrono::nanoseconds held_{0};
};

// After this time without a heartbeat, a hub on another machine counts as gone.
inline constexpr std::chrono::seconds kHubSilence{30};

// Every event of the run, from seq 1, in order, none missing, whenever it joins: what PUB dropped, left out or sent
// before it joined is read from the log, or asked of the hub where there is no log (`log_path` empty).
class Subscriber {
 public:
  static Result<Subscriber> connect(zmq::context_t& context, const BusAddress& address,
                                    const std::string& log_path);
  Subscriber(Subscriber&&) noexcept;
  Subscriber& operator=(Subscriber&&) noexcept;
  ~Subscriber();

  // For poll(2): readable when receive() may have news. Edge-triggered (ZMQ_FD): drain after each wake-up.
  int fd() const;
  // The next event if there is one now.
  Result<std::optional<EventBuffer>> receive();
  uint64_t last_seq() const { return last_seq_; }
  uint64_t repaired() const { return repaired_; }  // events that did not come over PUB
  // Since the hub was last heard, its heartbeats (20 ms) among it. True right after receive() found nothing.
  std::chrono::steady_clock::duration silence() const { return std::chrono::steady_clock::now() - heard_at_; }

 private:
  Subscriber(std::unique_ptr<zmq::socket_t> socket, std::unique_ptr<RepairSource> repair);

  std::unique_ptr<zmq::socket_t> socket_;
  std::unique_ptr<RepairSource> repair_;
  uint64_t last_seq_ = 0;
  uint64_t known_seq_ = 0;  // newest seq heard of: everything up to it is in the log
  uint64_t repaired_ = 0;
  std::chrono::steady_clock::time_point heard_at_ = std::chrono::steady_clock::now();
  std::optional<EventBuffer> held_;  // came over the bus while an older one is still missing
};

}  // namespace ktstr
