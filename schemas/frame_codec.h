// Both ends of the event channel's frame (schemas/channel_frame.h), in a header so that the static guest
// programs share it with the host. Users link zlib.
#pragma once

#include <zlib.h>

#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "schemas/channel_frame.h"

namespace ktstr {

inline uint32_t frame_crc(std::span<const uint8_t> payload) {
  return static_cast<uint32_t>(::crc32_z(0, payload.data(), payload.size()));
}

// Appends header and payload to `out`. REQUIRES: payload.size() <= kMaxFramePayload.
inline void append_frame(std::span<const uint8_t> payload, std::vector<uint8_t>& out) {
  FrameHeader header{kFrameMagic, static_cast<uint32_t>(payload.size()), frame_crc(payload)};
  const auto* raw = reinterpret_cast<const uint8_t*>(&header);
  out.insert(out.end(), raw, raw + sizeof(header));
  out.insert(out.end(), payload.begin(), payload.end());
}

// Finds whole frames in a byte stream that may be cut, damaged or hostile. Feed, then call next() until it is
// empty.
//
// After damage (foreign bytes, a length over the limit, a wrong CRC) it looks for the next magic behind the
// damaged header, so a wrong length loses no frame that follows it. Only when wrong lengths have cost kMaxWastedCrc
// more bytes of CRC work than the stream is long, their payload is skipped, so that the work stays linear. Memory: one
// maximal frame and what was fed at once.
class FrameDecoder {
 public:
  static constexpr uint64_t kMaxWastedCrc = 64u << 20;

  explicit FrameDecoder(uint32_t max_payload = kMaxFramePayload) : max_payload_(max_payload) {}

  void feed(std::span<const uint8_t> bytes) {
    if (begin_ > 0) {
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }

  // The next whole payload; valid until the next feed(). Empty: more bytes are needed.
  std::optional<std::span<const uint8_t>> next() {
    while (available() >= sizeof(FrameHeader)) {
      FrameHeader header;
      std::memcpy(&header, data(), sizeof(header));
      if (header.magic != kFrameMagic || header.length > max_payload_) {
        skip_damage(header.magic == kFrameMagic ? 4 : 1);
        continue;
      }
      if (available() < sizeof(header) + header.length) {
        if (!finished_) return std::nullopt;
        skip_damage(4);
        continue;
      }
      std::span<const uint8_t> payload(data() + sizeof(header), header.length);
      if (frame_crc(payload) != header.crc32) {
        wasted_crc_ += header.length;
        skip_damage(wasted_crc_ > skipped_ + kMaxWastedCrc ? sizeof(header) + header.length : 4);
        continue;
      }
      begin_ += sizeof(header) + header.length;
      in_damage_ = false;
      ++frames_;
      return payload;
    }
    if (finished_ && available() > 0) skip_damage(available());
    return std::nullopt;
  }

  // No more bytes will come: a torn last frame counts as damage, and whole frames hidden behind its header
  // come out of next().
  void finish() { finished_ = true; }

  uint64_t frames() const { return frames_; }
  uint64_t damaged() const { return damaged_; }  // stretches of damage
  uint64_t skipped_bytes() const { return skipped_; }
  uint64_t wasted_crc_bytes() const { return wasted_crc_; }  // CRC work on what was no frame

 private:
  const uint8_t* data() const { return buffer_.data() + begin_; }
  size_t available() const { return buffer_.size() - begin_; }

  // Skips at least `least` bytes, up to what may be the next magic.
  void skip_damage(size_t least) {
    if (!in_damage_) ++damaged_;
    in_damage_ = true;
    size_t at = least;
    for (; at < available(); ++at) {
      const size_t n = available() - at < 4 ? available() - at : 4;
      if (std::memcmp(data() + at, &kFrameMagic, n) == 0) break;
    }
    begin_ += at;
    skipped_ += at;
  }

  uint32_t max_payload_;
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;
  bool in_damage_ = false;
  bool finished_ = false;
  uint64_t frames_ = 0, damaged_ = 0, skipped_ = 0, wasted_crc_ = 0;
};

}  // namespace ktstr
