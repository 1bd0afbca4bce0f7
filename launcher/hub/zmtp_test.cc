// The wire as RFC 23 has it, in pieces of every size, and what no ZeroMQ ever says.
#include "launcher/hub/zmtp.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ktstr {
namespace {

std::string greeting(const std::string& mechanism = "NULL", char version = 3) {
  std::string text(64, '\0');
  text[0] = '\xff';
  text[9] = '\x7f';
  text[10] = version;
  text.replace(12, mechanism.size(), mechanism);
  return text;
}

std::string ready(const std::string& type = "PUSH") {
  std::string body =
      "\x05READY\x0bSocket-Type" + std::string("\0\0\0", 3) + static_cast<char>(type.size()) + type;
  return std::string("\x04", 1) + static_cast<char>(body.size()) + body;
}

std::string frame(const std::string& body, bool more = false) {
  std::string text;
  if (body.size() < 256) return std::string{static_cast<char>(more), static_cast<char>(body.size())} + body;
  text += static_cast<char>(2 | (more ? 1 : 0));
  for (int i = 7; i >= 0; --i) text += static_cast<char>(body.size() >> (8 * i));
  return text + body;
}

struct Heard {
  std::vector<std::string> messages;
  std::vector<size_t> odd;  // frame counts other than one
  std::string error, sent;
};

Heard hear(const std::string& bytes, size_t piece, size_t limit = 1000) {
  ZmtpReceiver zmtp({.message = limit});
  uint8_t scratch[64];
  Heard heard;
  for (size_t at = 0; at < bytes.size();) {
    auto room = zmtp.room(scratch);
    size_t n = std::min({piece, room.size(), bytes.size() - at});
    std::memcpy(room.data(), bytes.data() + at, n);
    at += n;
    bool good = zmtp.received(n, [&](std::span<const uint8_t> body, size_t frames) {
      if (frames != 1) return heard.odd.push_back(frames);
      heard.messages.emplace_back(body.begin(), body.end());
    });
    if (!good) break;
  }
  heard.error = zmtp.error();
  heard.sent = zmtp.outgoing();
  return heard;
}

TEST(Zmtp, MessagesComeOutHoweverTheBytesWereCut) {
  std::string large(900, 'L');
  std::string bytes = greeting() + ready() + frame("one") + frame("") + frame(large) + frame("a", true) +
                      frame("b", true) + frame("c") + frame("last");
  for (size_t piece = 1; piece < bytes.size(); piece = piece < 20 ? piece + 1 : piece * 2) {
    Heard heard = hear(bytes, piece);
    EXPECT_EQ(heard.messages, (std::vector<std::string>{"one", "", large, "last"})) << "pieces of " << piece;
    EXPECT_EQ(heard.odd, std::vector<size_t>{3});
    EXPECT_EQ(heard.error, "");
    EXPECT_EQ(heard.sent, greeting() + ready("PULL"));
  }
}

TEST(Zmtp, APingIsAnswered) {
  std::string ping = "\x04PING" + std::string("\0\x0a", 2) + "ctx", pong = "\x04PONGctx";
  Heard heard =
      hear(greeting("NULL") + ready() + std::string("\x04", 1) + static_cast<char>(ping.size()) + ping, 7);
  EXPECT_EQ(heard.sent,
            greeting() + ready("PULL") + std::string("\x04", 1) + static_cast<char>(pong.size()) + pong);
}

TEST(Zmtp, StrangersAreNamed) {
  EXPECT_NE(hear("GET / HTTP/1.0\r\n", 4).error.find("no ZeroMQ peer"), std::string::npos);
  EXPECT_NE(hear(greeting("NULL", 1), 64).error.find("ZMTP 1"), std::string::npos);
  EXPECT_NE(hear(greeting("CURVE"), 64).error.find("security"), std::string::npos);
  EXPECT_NE(hear(greeting() + ready("SUB"), 64).error.find("no PUSH"), std::string::npos);
  EXPECT_NE(hear(greeting() + frame("early"), 64).error.find("before its handshake"), std::string::npos);
  Heard large = hear(greeting() + ready() + frame("fits") + frame(std::string(1001, 'x')), 64);
  EXPECT_NE(large.error.find("1001 bytes"), std::string::npos) << large.error;
  EXPECT_EQ(large.messages, std::vector<std::string>{"fits"});
}

TEST(Zmtp, AFrameTakesTheMemoryOfTheBytesThatCameNotOfThoseThatItAnnounces) {
  ZmtpReceiver zmtp({.message = 16u << 20});
  std::vector<uint8_t> scratch(256u << 10);
  std::string bytes = greeting() + ready() + std::string("\x02\0\0\0\0\x01\0\0\0", 9) + "the first bytes";
  auto feed = [&](std::string_view piece) {
    auto room = zmtp.room(scratch);
    ASSERT_GE(room.size(), piece.size());
    std::copy(piece.begin(), piece.end(), room.begin());
    ASSERT_TRUE(zmtp.received(piece.size(), [](auto, size_t) {}));
  };
  feed(bytes);
  EXPECT_LE(zmtp.held(), 1000u);
  const std::string piece(200u << 10, 'x');
  size_t came = 15;
  for (; (16u << 20) - came > piece.size(); came += piece.size()) {
    feed(piece);
    EXPECT_LE(zmtp.held(), 2 * (came + 2 * scratch.size()));
  }
  feed(std::string((16u << 20) - came, 'x'));
  EXPECT_EQ(zmtp.held(), 0u) << "given back with the frame";
}

TEST(Zmtp, NoDamageDoesHarm) {
  const std::string good = greeting() + ready() + frame("one") + frame(std::string(300, 'x'));
  for (size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      EXPECT_LE(hear(bad, 50).messages.size(), 300u);
    }
}

}  // namespace
}  // namespace ktstr
