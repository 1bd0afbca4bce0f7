// schemas/frame_codec.h and base/line_splitter.h: the two parsers that every guest byte goes through.
#include "schemas/frame_codec.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/line_splitter.h"

namespace ktstr {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes payload_of(uint32_t number, size_t size) {
  Bytes out(size, static_cast<uint8_t>(number));
  std::memcpy(out.data(), &number, sizeof(number));
  return out;
}

uint32_t number_of(std::span<const uint8_t> payload) {
  uint32_t number = 0;
  if (payload.size() >= sizeof(number)) std::memcpy(&number, payload.data(), sizeof(number));
  return number;
}

TEST(FrameDecoder, AnyCutOfTheStreamGivesTheSameFrames) {
  Bytes stream;
  for (uint32_t i = 0; i < 40; ++i) append_frame(payload_of(i, 4 + i * 7), stream);
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    FrameDecoder decoder;
    uint32_t next = 0;
    for (size_t at = 0; at < stream.size();) {
      const size_t n = std::min<size_t>(stream.size() - at, random() % 97 + 1);
      decoder.feed(std::span(stream).subspan(at, n));
      at += n;
      while (auto payload = decoder.next()) ASSERT_EQ(number_of(*payload), next++);
    }
    EXPECT_EQ(next, 40u);
    EXPECT_EQ(decoder.damaged(), 0u);
  }
}

TEST(FrameDecoder, FindsTheNextFrameAfterForeignBytes) {
  Bytes stream{'n', 'o', 'i', 's', 'e', 'K', 'T'};
  append_frame(payload_of(7, 10), stream);
  FrameDecoder decoder;
  decoder.feed(stream);
  auto payload = decoder.next();
  ASSERT_TRUE(payload);
  EXPECT_EQ(number_of(*payload), 7u);
  EXPECT_EQ(decoder.damaged(), 1u);
  EXPECT_EQ(decoder.skipped_bytes(), 7u);
}

TEST(FrameDecoder, WrongCrcIsSkippedAndCounted) {
  Bytes stream;
  append_frame(payload_of(1, 20), stream);
  stream[15] ^= 1;
  append_frame(payload_of(2, 20), stream);
  FrameDecoder decoder;
  decoder.feed(stream);
  EXPECT_EQ(number_of(*decoder.next()), 2u);
  EXPECT_FALSE(decoder.next());
  EXPECT_EQ(decoder.damaged(), 1u);
}

TEST(FrameDecoder, LyingLengthCostsNoFollowingFrame) {
  Bytes stream;
  const FrameHeader lie{kFrameMagic, kMaxFramePayload, 0};
  stream.insert(stream.end(), reinterpret_cast<const uint8_t*>(&lie),
                reinterpret_cast<const uint8_t*>(&lie + 1));
  append_frame(payload_of(3, 12), stream);
  FrameDecoder decoder;
  decoder.feed(stream);
  EXPECT_FALSE(decoder.next());  // it may still come
  decoder.finish();
  auto payload = decoder.next();
  ASSERT_TRUE(payload);
  EXPECT_EQ(number_of(*payload), 3u);
  EXPECT_FALSE(decoder.next());
  EXPECT_EQ(decoder.damaged(), 1u);
}

TEST(FrameDecoder, LengthOverTheLimitIsDamageAtOnce) {
  Bytes stream;
  const FrameHeader lie{kFrameMagic, kMaxFramePayload + 1, 0};
  stream.insert(stream.end(), reinterpret_cast<const uint8_t*>(&lie),
                reinterpret_cast<const uint8_t*>(&lie + 1));
  append_frame(payload_of(3, 12), stream);
  FrameDecoder decoder;
  decoder.feed(stream);
  EXPECT_TRUE(decoder.next());
}

TEST(FrameDecoder, TornTailIsDamage) {
  Bytes stream;
  append_frame(payload_of(1, 20), stream);
  stream.resize(stream.size() - 1);
  FrameDecoder decoder;
  decoder.feed(stream);
  decoder.finish();
  EXPECT_FALSE(decoder.next());
  EXPECT_EQ(decoder.damaged(), 1u);
  EXPECT_EQ(decoder.skipped_bytes(), stream.size());
}

TEST(FrameDecoder, RandomBytesAndRandomDamageNeverInventAFrame) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    Bytes stream;
    for (uint32_t i = 0; i < 20; ++i) append_frame(payload_of(i, 4 + random() % 60), stream);
    for (int hits = static_cast<int>(random() % 10); hits > 0; --hits) {
      const size_t at = random() % stream.size();
      switch (random() % 3) {
        case 0:
          stream[at] = static_cast<uint8_t>(random());
          break;
        case 1:
          stream.erase(stream.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        default:
          stream.insert(stream.begin() + static_cast<std::ptrdiff_t>(at), static_cast<uint8_t>(random()));
      }
    }
    FrameDecoder decoder;
    decoder.feed(stream);
    decoder.finish();
    size_t taken = 0;
    int64_t last = -1;
    while (auto payload = decoder.next()) {
      ASSERT_GT(static_cast<int64_t>(number_of(*payload)), last);
      last = number_of(*payload);
      taken += sizeof(FrameHeader) + payload->size();
    }
    EXPECT_EQ(taken + decoder.skipped_bytes(), stream.size());
  }
}

TEST(FrameDecoder, HeadersThatLieOverAndOverCostLinearWork) {
  Bytes stream;
  const FrameHeader lie{kFrameMagic, kMaxFramePayload - 64, 0};
  while (stream.size() < 3 * size_t{kMaxFramePayload})
    stream.insert(stream.end(), reinterpret_cast<const uint8_t*>(&lie),
                  reinterpret_cast<const uint8_t*>(&lie + 1));
  const size_t lies = stream.size();
  FrameDecoder decoder;
  decoder.feed(stream);
  EXPECT_FALSE(decoder.next());
  EXPECT_GT(decoder.wasted_crc_bytes(), FrameDecoder::kMaxWastedCrc);  // looked behind each header at first
  EXPECT_LE(decoder.wasted_crc_bytes(), FrameDecoder::kMaxWastedCrc + lies + kMaxFramePayload);
  // And the stream is not lost: zeros end the last lie, a frame behind them is found.
  Bytes more(kMaxFramePayload);
  append_frame(payload_of(9, 12), more);
  decoder.feed(more);
  auto payload = decoder.next();
  ASSERT_TRUE(payload);
  EXPECT_EQ(number_of(*payload), 9u);
  EXPECT_EQ(decoder.damaged(), 1u);
}

TEST(LineSplitter, LinesEndsAndTheLastPart) {
  LineSplitter splitter(100);
  std::vector<std::string> lines;
  auto keep = [&](std::string_view text, bool truncated) {
    lines.push_back(std::string(text) + (truncated ? "!" : ""));
  };
  splitter.feed("one\ntw", keep);
  splitter.feed("o\r\n\r\npart", keep);
  splitter.flush(keep);
  splitter.flush(keep);
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "part"}));
}

TEST(LineSplitter, LongLinesAreCutOnceAndCounted) {
  LineSplitter splitter(4);
  std::vector<std::string> lines;
  auto keep = [&](std::string_view text, bool truncated) {
    lines.push_back(std::string(text) + (truncated ? "!" : ""));
  };
  for (int i = 0; i < 1000; ++i) splitter.feed("abcdefgh", keep);
  splitter.feed("\nabcd\r\nabcde\n", keep);
  EXPECT_EQ(lines, (std::vector<std::string>{"abcd!", "abcd", "abcd!"}));
  EXPECT_EQ(splitter.cut(), 2u);
}

}  // namespace
}  // namespace ktstr
