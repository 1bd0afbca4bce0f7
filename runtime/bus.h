// A process's two ends on the bus. Endpoints stand in the run's bus folder (0700): ingest.sock (PUSH to the hub's
// PULL) and events.sock (SUB from the hub's PUB).
//
// Messages: one frame each way, an Event FlatBuffer; the hub's heartbeat is a frame of 8 bytes, the newest seq.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/log_reader.h"
#include "runtime/result.h"
#include "schemas/envelope.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace ktstr {

struct BusAddress {
  std::string ingest;  // "ipc:///run/…/ingest.sock"
  std::string events;
  static BusAddress in_folder(const std::string& folder);
};

// Lossless: a full hub blocks the caller (back-pressure), nothing is dropped.
class Publisher {
 public:
  static Result<Publisher> connect(zmq::context_t& context, const BusAddress& address);
  Publisher(Publisher&&) noexcept;
  Publisher& operator=(Publisher&&) noexcept;
  ~Publisher();

  Status publish(const EventBuffer& event);
  // Asked about once a second while the hub holds us back; true makes publish() fail instead of waiting on.
  void set_give_up(std::function<bool()> give_up) { give_up_ = std::move(give_up); }
  // Times that publish() had to wait for the hub, for a second or more each.
  uint64_t held_back() const { return held_back_; }

 private:
  explicit Publisher(std::unique_ptr<zmq::socket_t> socket);
  std::unique_ptr<zmq::socket_t> socket_;
  std::function<bool()> give_up_;
  uint64_t held_back_ = 0;
};

// Every event of the run, from seq 1, in order, none missing, whenever it joins: what PUB dropped or sent before
// it joined is read from the log.
class Subscriber {
 public:
  static Result<Subscriber> connect(zmq::context_t& context, const BusAddress& address, const std::string& log_path);
  Subscriber(Subscriber&&) noexcept;
  Subscriber& operator=(Subscriber&&) noexcept;
  ~Subscriber();

  // For poll(2): readable when receive() may have news. Edge-triggered (ZMQ_FD): drain after each wake-up.
  int fd() const;
  // The next event if there is one now.
  Result<std::optional<EventBuffer>> receive();
  uint64_t last_seq() const { return last_seq_; }
  uint64_t repaired() const { return repaired_; }  // events read from the log instead of the bus

 private:
  Subscriber(std::unique_ptr<zmq::socket_t> socket, LogReader log);
  Result<std::optional<EventBuffer>> from_log();

  std::unique_ptr<zmq::socket_t> socket_;
  LogReader log_;
  uint64_t last_seq_ = 0;
  uint64_t known_seq_ = 0;  // newest seq heard of: everything up to it is in the log
  uint64_t repaired_ = 0;
  std::optional<EventBuffer> held_;  // came over the bus while an older one is still missing
};

}  // namespace ktstr
