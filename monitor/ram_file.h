// The guest's RAM as bytes in a file: the one door to guest memory, so that tests put an image of their own
// behind it.
//
// The bytes belong to the guest and change while they are read. A read copies once; a caller judges the copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;  // exclusive
};

class RamFile {
 public:
  virtual ~RamFile() = default;
  virtual uint64_t size() const = 0;
  // All of [offset, offset + size), or false and `out` undefined. Never a signal, whatever becomes of the
  // file.
  virtual bool read(uint64_t offset, void* out, size_t size) const = 0;
  // The ranges that hold data, ascending; holes read as zeroes. Asked for because touching a hole allocates
  // it.
  virtual std::vector<ByteRange> data_ranges() const = 0;
};

// Opens a RAM file read-only. A file sealed against shrinking (a memfd with F_SEAL_SHRINK) is mapped; any
// other could be cut under a mapping, which would kill the monitor with SIGBUS, so it is read with pread(2),
// ten times slower. Errors: not there (the VM is gone), empty, larger than the address space can map.
Result<std::unique_ptr<RamFile>> open_ram_file(const std::string& path);

// The offset of a guest-physical address in the file. q35: RAM fills [0, lowmem), the rest starts at 4 GiB.
struct RamLayout {
  uint64_t bytes = 0;   // all RAM
  uint64_t lowmem = 0;  // the part below 4 GiB; 0: all of it

  // q35's default, for a VM whose VmStarted does not say.
  static RamLayout q35(uint64_t bytes);
};

// Guest-physical memory: bounds and the hole below 4 GiB.
class PhysicalMemory {
 public:
  // `ram` outlives this.
  PhysicalMemory(const RamFile& ram, RamLayout layout);

  // False when any byte lies outside RAM.
  bool read(uint64_t gpa, void* out, size_t size) const;
  // Offset in the file of a byte of RAM; nullopt: outside.
  std::optional<uint64_t> offset_of(uint64_t gpa) const;
  // The contrary way: the address of a byte of the file.
  uint64_t address_of(uint64_t offset) const;
  // One past the last address of RAM.
  uint64_t end() const { return end_; }
  const RamFile& ram() const { return ram_; }

 private:
  const RamFile& ram_;
  uint64_t lowmem_;
  uint64_t high_bytes_;
  uint64_t end_;
};

}  // namespace ktstr
