// The sending side of the bus on one host: speaks ZMTP 3 (rfc.zeromq.org/spec/23) to the hub's unix socket, as a PUSH socket does.
//
// It replaces libzmq's PUSH, which discards its last batch of messages when it is closed while it is blocked. Here a message that
// was sent is with the kernel, and the hub reads it, whatever becomes of the sender. Only in a flood (dozens of messages within
// microseconds of each other) messages are gathered, and a thread hands them over in large pieces: six times as fast.
// The destructor hands over what was gathered, unless the hub takes nothing for five seconds.
//
// Thread rule: one thread sends.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

class PushSocket {
 public:
  // `endpoint`: "ipc://PATH". Waits for the hub's side of the handshake. Errors: no process listens, or none answers.
  static Result<PushSocket> connect(const std::string& endpoint);

  PushSocket(PushSocket&&) noexcept;
  PushSocket& operator=(PushSocket&&) noexcept;
  ~PushSocket();

  // One frame. False: not (wholly) taken within `patience`; call again with the same bytes until it is. Errors: the hub is gone.
  Result<bool> send(std::span<const uint8_t> bytes, std::chrono::milliseconds patience);

 private:
  struct Flood;
  explicit PushSocket(UniqueFd fd);
  Result<bool> send_now(std::span<const uint8_t> header, std::span<const uint8_t> bytes,
                        std::chrono::milliseconds patience);

  UniqueFd fd_;
  size_t sent_ = 0;  // of the frame in hand, with its header
  std::chrono::steady_clock::time_point last_;
  int close_together_ = 0;        // messages in a row that came within microseconds
  std::unique_ptr<Flood> flood_;  // from the first flood on
};

}  // namespace ktstr
