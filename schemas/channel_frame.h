// The frame of the guest's event channel (guest to host), on whichever carrier: virtserialport or UART.
//
//   u32 magic 0x4843544b ("KTCH"), u32 length, u32 crc32 (zlib's) of the payload, payload (one Event FlatBuffer)
//
// Little-endian. A reader that meets anything else scans forward for the next magic and counts what it skipped.
#pragma once

#include <cstdint>

namespace ktstr {

inline constexpr uint32_t kFrameMagic = 0x4843544b;
// Larger events than this never cross the channel; a length above it is damage.
inline constexpr uint32_t kMaxFramePayload = 8u << 20;
inline constexpr char kChannelPortName[] = "ktstr.channel";  // virtserialport's name

struct FrameHeader {
  uint32_t magic;
  uint32_t length;
  uint32_t crc32;
};
static_assert(sizeof(FrameHeader) == 12);

}  // namespace ktstr
