// The sending side of the bus on one host: speaks ZMTP 3 (rfc.zeromq.org/spec/23) to the hub's unix socket, as a PUSH socket does.
//
// Not libzmq's PUSH, for one reason: closed while it is held back, libzmq throws away its last batch of messages. Here a message that
// was sent is with the kernel, and the hub reads it, whatever becomes of the sender.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/result.h"
#include "runtime/unique_fd.h"

namespace ktstr {

class PushSocket {
 public:
  // `endpoint`: "ipc://PATH". Waits for the hub's side of the handshake. Errors: nobody listens, or nobody answers.
  static Result<PushSocket> connect(const std::string& endpoint);

  // One frame. False: not (wholly) taken within `patience`; call again with the same bytes until it is. Errors: the hub is gone.
  Result<bool> send(std::span<const uint8_t> bytes, std::chrono::milliseconds patience);

 private:
  explicit PushSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  size_t sent_ = 0;  // of the frame in hand, with its header
};

}  // namespace ktstr
