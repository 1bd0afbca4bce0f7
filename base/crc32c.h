// CRC32C (Castagnoli) by ISA-L, with the usual inversion at both ends ("123456789" gives 0xe3069283).
#pragma once

#include <isa-l/crc.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ktstr {

inline uint32_t crc32c(std::span<const uint8_t> data) {
  // ISA-L declares an int length (events are far below 2 GiB), and its x86 code reads all 64 bits of the register. The ABI leaves the
  // upper half undefined: clang left a record's checksum there, and 2 GiB were read. The empty assembly makes the compiler hold
  // the whole size in a register.
  size_t size = data.size();
  __asm__("" : "+r"(size));
  return ~crc32_iscsi(const_cast<unsigned char*>(data.data()), static_cast<int>(size), 0xffffffffu);
}

}  // namespace ktstr
