// events.ktlog, format version 1 (docs/log-format.md has a worked example).
//
//   header   32 bytes: magic "KTSTRLOG", u32 format version, u32 schema version, 16 bytes reserved (zero)
//   record   u32 length of the payload, u32 CRC32C of the payload, payload (one Event FlatBuffer)
//   ...      records follow each other without padding, in the order of Stamp.seq, which starts at 1
//
// All integers little-endian. A file may end anywhere (a killed writer): a reader uses every whole record before that.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ktstr {

inline constexpr char kLogMagic[8] = {'K', 'T', 'S', 'T', 'R', 'L', 'O', 'G'};
inline constexpr uint32_t kLogFormatVersion = 1;

struct LogHeader {
  char magic[8];
  uint32_t format_version;
  uint32_t schema_version;
  uint8_t reserved[16];
};
static_assert(sizeof(LogHeader) == 32);

struct RecordHeader {
  uint32_t length;
  uint32_t crc32c;
};
static_assert(sizeof(RecordHeader) == 8);

}  // namespace ktstr
