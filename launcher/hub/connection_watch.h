// The connections that a ZeroMQ socket gains and loses, numbered as its messages number them.
//
// A number is that of the connection's descriptor: a message carries it too (connection_of), and it is used again
// only after its `closed` was told.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "launcher/hub/client_gate.h"

namespace zmq {
class context_t;
class message_t;
class socket_t;
}  // namespace zmq

namespace ktstr {

class ConnectionWatch {
 public:
  struct Change {
    int connection;
    bool closed;
  };

  // `name`: unique in the context. Throws zmq::error_t. Watches until the watched socket is closed.
  ConnectionWatch(zmq::context_t& context, zmq::socket_t& watched, const std::string& name);
  ~ConnectionWatch();
  ConnectionWatch(ConnectionWatch&&) noexcept;

  // The next change if there is one now. Same thread as the watched socket's.
  std::optional<Change> next();

 private:
  std::unique_ptr<zmq::socket_t> pair_;
};

// The sender of a message that came over such a socket.
class MessageSender : public Sender {
 public:
  MessageSender(zmq::message_t& message, bool remote) : message_(message), remote_(remote) {}
  int connection() const override;
  std::string description() const override;

 private:
  zmq::message_t& message_;
  bool remote_;
};

}  // namespace ktstr
