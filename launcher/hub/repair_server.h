// Gives subscribers the events they missed: a ROUTER socket that answers from the log (docs/protocol.md).
//
// On its own thread and with its own reader, so a late joiner with a long way to go costs the hub nothing. A client that
// asks and does not read is given a few answers, then none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/hub/poll_thread.h"
#include "schemas/log_reader.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace ktstr {

// Events by number, from a log that still grows.
class LogIndex {
 public:
  static Result<LogIndex> open(const std::string& log_path);
  // Events first..last, as many as kRepairMaxEvents and kRepairMaxBytes allow; empty: not there (yet).
  std::vector<EventBuffer> read(uint64_t first, uint64_t last);

 private:
  explicit LogIndex(LogReader reader) : reader_(std::move(reader)) {}
  LogReader reader_;
  std::vector<uint64_t> offsets_;  // of event 1, 1 + kStep, ...
};

class RepairServer {
 public:
  // An unbound socket of the right kind, for the caller to secure and bind.
  static std::unique_ptr<zmq::socket_t> make_socket(zmq::context_t& context);
  // Answers with events up to newest() only.
  static Result<std::unique_ptr<RepairServer>> start(std::vector<std::unique_ptr<zmq::socket_t>> sockets,
                                                     const std::string& log_path,
                                                     std::function<uint64_t()> newest);

 private:
  RepairServer(LogIndex index, std::function<uint64_t()> newest)
      : index_(std::move(index)), newest_(std::move(newest)) {}
  void answer(zmq::socket_t& socket);

  LogIndex index_;
  std::function<uint64_t()> newest_;
  std::unique_ptr<PollThread> thread_;
};

}  // namespace ktstr
