#include "monitor/guest_memory.h"

#include <algorithm>
#include <cstring>

namespace ktstr {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kFrameMask = 0x000ffffffffff000ull;
constexpr uint64_t kPresent = 1;
constexpr uint64_t kLarge = 1u << 7;  // PS

}  // namespace

std::optional<uint64_t> walk_page_tables(const PhysicalMemory& memory, PageTableRoot root, uint64_t va) {
  const int top_bit = root.levels5 ? 56 : 47;
  const auto sign = static_cast<int64_t>(va) >> top_bit;
  if (sign != 0 && sign != -1) return std::nullopt;

  uint64_t table = root.gpa & kFrameMask;
  for (int level = root.levels5 ? 5 : 4; level >= 1; --level) {
    const int shift = 12 + 9 * (level - 1);
    uint64_t entry = 0;
    if (!memory.read(table + ((va >> shift) & 511) * 8, &entry, sizeof entry)) return std::nullopt;
    if (!(entry & kPresent)) return std::nullopt;
    const uint64_t frame = entry & kFrameMask;
    const uint64_t inside = (uint64_t{1} << shift) - 1;
    if (level == 1) return frame | (va & inside);
    // Bit 12 of a large page is PAT, not address: the mask by page size drops it.
    if ((level == 2 || level == 3) && (entry & kLarge)) return (frame & ~inside) | (va & inside);
    table = frame;
  }
  return std::nullopt;
}

std::optional<std::string> GuestMemory::text(uint64_t va, size_t limit) const {
  std::string out;
  char piece[64];
  while (out.size() < limit) {
    // Pieces end on a 64-byte border, so they never cross into a page that is not there.
    const size_t want = std::min<size_t>(limit - out.size(), sizeof piece - (va % sizeof piece));
    if (!read(va, piece, want)) {
      if (out.empty()) return std::nullopt;
      break;
    }
    const size_t length = ::strnlen(piece, want);
    out.append(piece, length);
    if (length < want) break;
    va += want;
  }
  return out;
}

std::optional<uint64_t> PagedMemory::translate(uint64_t va) const {
  if (direct_map_ && va - direct_map_ < memory_.end()) return va - direct_map_;
  const uint64_t page = va & ~(kPage - 1);
  Cached& slot = cache_[(va >> 12) % cache_.size()];
  if (slot.generation != generation_ || slot.page != page) {
    const auto frame = walk_page_tables(memory_, root_, page);
    if (!frame) return std::nullopt;
    slot = {page, *frame, generation_};
  }
  return slot.frame | (va & (kPage - 1));
}

bool PagedMemory::read(uint64_t va, void* out, size_t size) const {
  auto* to = static_cast<uint8_t*>(out);
  while (size > 0) {
    const size_t piece = std::min<uint64_t>(size, kPage - (va & (kPage - 1)));
    const auto gpa = translate(va);
    if (!gpa || !memory_.read(*gpa, to, piece)) return false;
    to += piece;
    va += piece;
    size -= piece;
  }
  return true;
}

void PagedMemory::forget() {
  if (++generation_ == 0) {  // wrapped: an old slot could look new
    cache_ = {};
    generation_ = 1;
  }
}

}  // namespace ktstr
