// The receiving side of ZMTP 3 (rfc.zeromq.org/spec/23), mechanism NULL: what a PUSH socket of any ZeroMQ says to us, byte by byte.
//
// Knows no socket: bytes in, messages out, bytes to be sent back. It trusts no input: lengths are bounded, and a
// peer that does not speak ZMTP gives one error and is then ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

class ZmtpReceiver {
 public:
  struct Limits {
    size_t message = 16u << 20;
  };
  // Of the one message: its bytes, and how many frames it had (bytes are only given for one).
  using Take = std::function<void(std::span<const uint8_t> bytes, size_t frames)>;

  explicit ZmtpReceiver(Limits limits);

  // What is to be sent to the peer; emptied by the caller. Not empty from the start: the greeting.
  std::string& outgoing() { return outgoing_; }
  // Where the next bytes go; then received() says how many came, 0 included. `scratch` may serve many receivers, one after the
  // other: what stays here is only the frame that is not whole, and that grows with the bytes that came, not with those
  // that it announces.
  std::span<uint8_t> room(std::span<uint8_t> scratch);
  // Calls `take` for each whole message. False: the peer breaks the protocol, see error(); nothing more is taken.
  bool received(size_t count, const Take& take);
  const std::string& error() const { return error_; }
  // Bytes of memory that the frame in hand takes.
  size_t held() const { return held_.capacity(); }

 private:
  enum class State { kGreeting, kHandshake, kMessages };

  // One step on the bytes that are there; 0: more are needed. Else the bytes used.
  size_t step(std::span<const uint8_t> bytes, const Take& take);
  size_t greeting(std::span<const uint8_t> bytes);
  bool command(std::span<const uint8_t> body);
  bool ready(std::span<const uint8_t> properties);
  size_t fail(std::string why);

  Limits limits_;
  State state_ = State::kGreeting;
  std::vector<uint8_t> held_;   // of a frame that is not whole
  std::span<uint8_t> reading_;  // where room() told the bytes to go, with what was held before them
  size_t before_ = 0;           // bytes of reading_ that were held
  bool reads_held_ = false;     // reading_ is held_ itself
  size_t need_ = 0;             // bytes that the frame in hand takes in all; 0: not known
  size_t frames_ = 0;           // of the message in hand, so far
  std::string outgoing_, error_;
};

}  // namespace ktstr
