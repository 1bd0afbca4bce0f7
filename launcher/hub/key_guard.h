// Lets in only clients whose public key is authorised: ZeroMQ's authentication (ZAP) for the sockets of one context.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "launcher/hub/poll_thread.h"
#include "runtime/curve_keys.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace ktstr {

class KeyGuard {
 public:
  // REQUIRES: made before the sockets that it guards are bound, and gone after them: ZeroMQ lets everybody in where no
  // handler answers. Throws zmq::error_t.
  KeyGuard(zmq::context_t& context, const ServerKeys& keys);
  // Makes a socket, not yet bound, a CURVE server under this guard. Throws zmq::error_t.
  void secure(zmq::socket_t& socket) const;

 private:
  void decide(zmq::socket_t& socket);

  ServerKeys keys_;
  std::set<std::string> authorized_;  // 32 bytes each
  std::unique_ptr<PollThread> thread_;
};

}  // namespace ktstr
