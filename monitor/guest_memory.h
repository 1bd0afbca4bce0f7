// Kernel-virtual memory of the guest: page tables and typed reads.
//
// Every pointer comes from the guest: every read may fail, every chain is followed to a bound only, and no value
// may crash the reader. Reads fail in normal operation, when the kernel changes a structure while it is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "monitor/ram_file.h"

namespace ktstr {

// x86-64 page tables of the kernel.
struct PageTableRoot {
  uint64_t gpa = 0;      // of the top table
  bool levels5 = false;  // la57
};

// Virtual to physical by walking the tables; nullopt when nothing is mapped there, the address is not
// canonical, or a table lies outside RAM. Pure: at most five reads.
std::optional<uint64_t> walk_page_tables(const PhysicalMemory& memory, PageTableRoot root, uint64_t va);

class GuestMemory {
 public:
  virtual ~GuestMemory() = default;

  // All `size` bytes, or false. Crosses pages as need be.
  virtual bool read(uint64_t va, void* out, size_t size) const = 0;

  template <typename T>
  std::optional<T> get(uint64_t va) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    if (!read(va, &value, sizeof value)) return std::nullopt;
    return value;
  }
  std::optional<uint64_t> pointer(uint64_t va) const { return get<uint64_t>(va); }
  // Up to the first NUL, at most `limit` characters; what cannot be read ends it; nullopt if not one byte
  // can.
  std::optional<std::string> text(uint64_t va, size_t limit) const;
};

// GuestMemory over page tables. Remembers translations until forget(): call that before each sample, since
// the kernel remaps vmalloc memory as it likes. Not thread-safe.
class PagedMemory : public GuestMemory {
 public:
  // `memory` outlives this.
  PagedMemory(const PhysicalMemory& memory, PageTableRoot root) : memory_(memory), root_(root) {}

  bool read(uint64_t va, void* out, size_t size) const override;
  std::optional<uint64_t> translate(uint64_t va) const;
  void forget();
  // Addresses [base, base + RAM) are RAM in its order: they need no walk.
  void set_direct_map(uint64_t base) { direct_map_ = base; }

  const PhysicalMemory& physical() const { return memory_; }
  PageTableRoot root() const { return root_; }

 private:
  struct Cached {
    uint64_t page = 0;        // virtual page; 0: free (page 0 is never the kernel's)
    uint64_t frame = 0;       // its guest-physical page
    uint32_t generation = 0;  // valid when it is the current one
  };
  const PhysicalMemory& memory_;
  PageTableRoot root_;
  uint64_t direct_map_ = 0;  // 0: not known
  uint32_t generation_ = 1;
  mutable std::array<Cached, 256> cache_{};
};

}  // namespace ktstr
