// The one door through which the monitor changes the guest: bytes of its RAM, asked for by the test's spec.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "monitor/guest_memory.h"

namespace ktstr {

class RamWriter {
 public:
  virtual ~RamWriter() = default;
  // At an offset of the RAM file. 1, 2, 4 or 8 aligned bytes appear at once to the guest.
  virtual Status write(uint64_t offset, std::span<const uint8_t> bytes) = 0;
};

// Errors: not there, not writable, or a file that may shrink under a mapping.
Result<std::unique_ptr<RamWriter>> open_ram_writer(const std::string& path);

// At a kernel-virtual address; may cross pages.
Status write_guest(const PagedMemory& memory, RamWriter& writer, uint64_t va, std::span<const uint8_t> bytes);

}  // namespace ktstr
