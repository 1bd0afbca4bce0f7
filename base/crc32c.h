// CRC32C (Castagnoli) by ISA-L, with the usual inversion at both ends ("123456789" gives 0xe3069283).
#pragma once

#include <isa-l/crc.h>

#include <cstdint>
#include <span>

namespace ktstr {

inline uint32_t crc32c(std::span<const uint8_t> data) {
  // ISA-L takes a non-const pointer and an int length; events are far below 2 GiB.
  return ~crc32_iscsi(const_cast<unsigned char*>(data.data()), static_cast<int>(data.size()), 0xffffffffu);
}

}  // namespace ktstr
