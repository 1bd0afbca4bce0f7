#include "launcher/hub/zmtp.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ktstr {
namespace {

constexpr size_t kGreeting = 64;
constexpr uint8_t kMore = 1, kLong = 2, kCommand = 4;
constexpr size_t kMaxCommand = 4096;

std::string our_greeting() {
  std::string text(kGreeting, '\0');
  text[0] = '\xff';
  text[9] = '\x7f';
  text[10] = 3;  // version 3.0
  text.replace(12, 4, "NULL");
  return text;
}

// Command frame: flags, length, name length, name, body.
std::string command_frame(std::string_view name, std::string_view body) {
  std::string text{static_cast<char>(kCommand), static_cast<char>(1 + name.size() + body.size()),
                   static_cast<char>(name.size())};
  return text.append(name).append(body);
}

std::string our_ready() {
  std::string property = std::string("\x0bSocket-Type") + std::string("\0\0\0\x04", 4) + "PULL";
  return command_frame("READY", property);
}

}  // namespace

ZmtpReceiver::ZmtpReceiver(Limits limits) : limits_(limits), outgoing_(our_greeting()) {}

size_t ZmtpReceiver::fail(std::string why) {
  error_ = std::move(why);
  return 0;
}

std::span<uint8_t> ZmtpReceiver::room(std::span<uint8_t> scratch) {
  before_ = held_.size();
  reads_held_ = before_ > scratch.size() / 4;
  if (reads_held_) {
    // Only a large frame: its length is known, and it is read to its end and no further.
    held_.resize(before_ + std::min(scratch.size(), need_ - before_));
    reading_ = held_;
  } else {
    std::copy(held_.begin(), held_.end(), scratch.begin());
    reading_ = scratch;
  }
  return reading_.subspan(before_);
}

bool ZmtpReceiver::received(size_t count, const Take& take) {
  if (!error_.empty()) return false;
  const std::span<const uint8_t> bytes = reading_.first(before_ + count);
  size_t begin = 0;
  while (begin < bytes.size()) {
    const size_t used = step(bytes.subspan(begin), take);
    begin += used;
    if (used == 0) break;
  }
  if (reads_held_ && begin == 0)
    held_.resize(bytes.size());
  else if (begin == bytes.size())
    held_ = std::vector<uint8_t>();  // gives its memory back, which = {} does not
  else
    held_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end());
  return error_.empty();
}

size_t ZmtpReceiver::step(std::span<const uint8_t> bytes, const Take& take) {
  if (state_ == State::kGreeting) return greeting(bytes);
  uint8_t flags = bytes[0];
  if ((flags & ~(kMore | kLong | kCommand)) != 0)
    return fail("is no ZeroMQ peer (frame flags " + std::to_string(flags) + ")");
  size_t header = flags & kLong ? 9 : 2;
  if (bytes.size() < header) return 0;
  uint64_t length = 0;
  for (size_t i = 1; i < header; ++i) length = length << 8 | bytes[i];
  if (length > (flags & kCommand ? kMaxCommand : limits_.message))
    return fail("sends a message of " + std::to_string(length) + " bytes; the limit is " +
                std::to_string(limits_.message));
  need_ = header + static_cast<size_t>(length);
  if (bytes.size() < need_) return 0;
  const size_t used = need_;
  auto body = bytes.subspan(header, used - header);
  if (flags & kCommand) return command(body) ? used : 0;
  if (state_ != State::kMessages) return fail("sends a message before its handshake");
  ++frames_;
  if (flags & kMore) return used;
  size_t frames = std::exchange(frames_, 0);
  take(frames == 1 ? body : std::span<const uint8_t>(), frames);
  return used;
}

size_t ZmtpReceiver::greeting(std::span<const uint8_t> bytes) {
  // As much as is there must look right, so that a stranger is not waited for.
  if (bytes[0] != 0xff || (bytes.size() >= 10 && (bytes[9] & 1) == 0)) return fail("is no ZeroMQ peer");
  if (bytes.size() >= 11 && bytes[10] < 3)
    return fail("speaks ZMTP " + std::to_string(bytes[10]) + "; 3 is needed (ZeroMQ 4)");
  if (bytes.size() < kGreeting) return 0;
  if (std::memcmp(&bytes[12], "NULL\0", 5) != 0)
    return fail("asks for security that this endpoint does not have");
  outgoing_ += our_ready();
  state_ = State::kHandshake;
  return kGreeting;
}

bool ZmtpReceiver::command(std::span<const uint8_t> body) {
  auto refuse = [&](const char* why) { return fail(why) != 0; };
  if (body.empty() || body.size() < 1u + body[0]) return refuse("sends a damaged command");
  std::string_view name(reinterpret_cast<const char*>(body.data()) + 1, body[0]);
  auto rest = body.subspan(1u + body[0]);
  if (name == "READY" && state_ == State::kHandshake) return ready(rest);
  if (state_ != State::kMessages) return refuse("sends a command before its handshake");
  // u16 time to live, context: given back.
  if (name == "PING" && rest.size() >= 2 && rest.size() <= 2 + 16 && outgoing_.size() < kMaxCommand)
    outgoing_ += command_frame("PONG", {reinterpret_cast<const char*>(rest.data()) + 2, rest.size() - 2});
  return true;
}

bool ZmtpReceiver::ready(std::span<const uint8_t> rest) {
  // u8 and name, u32 and value, ...
  auto refuse = [&](std::string why) { return fail(std::move(why)) != 0; };
  while (!rest.empty()) {
    size_t name_length = rest[0];
    if (rest.size() < 1 + name_length + 4) return refuse("sends a damaged handshake");
    std::string_view name(reinterpret_cast<const char*>(&rest[0]) + 1, name_length);
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | rest[1 + name_length + i];
    rest = rest.subspan(1 + name_length + 4);
    if (rest.size() < length) return refuse("sends a damaged handshake");
    std::string_view value(reinterpret_cast<const char*>(rest.data()), length);
    // RFC 23: names are compared without regard to case.
    bool type = name.size() == 11 && std::equal(name.begin(), name.end(), "socket-type",
                                                [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (type && value != "PUSH") return refuse("is no PUSH socket");
    rest = rest.subspan(length);
  }
  state_ = State::kMessages;
  return true;
}

}  // namespace ktstr
