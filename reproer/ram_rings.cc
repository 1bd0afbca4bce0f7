#include "reproer/ram_rings.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

namespace ktstr {
namespace {

constexpr size_t kChunk = 1u << 20;
constexpr size_t kPage = 4096;
constexpr uint64_t kMaxCpus = 4096;

void take_page(const uint8_t* page, size_t targets, probe::Capture* c) {
  ktstr_state state{};
  constexpr size_t kHead = offsetof(ktstr_state, stack);
  static_assert(kHead <= kPage);
  std::memcpy(&state, page, kHead);
  if (state.seal == KTSTR_STATE_SEAL && state.complete == 1 && state.cpu < kMaxCpus &&
      state.ns >= c->state.ns) {
    state.stack_bytes = 0;  // its frames may be in other pages
    c->state = state;
  }
  for (size_t at = 0; at < kPage; at += sizeof(ktstr_hit)) {
    ktstr_hit hit;
    std::memcpy(&hit, page + at, offsetof(ktstr_hit, comm));
    if (hit.ns == 0 || hit.seal != ktstr_seal(&hit) || hit.target >= targets || hit.when > KTSTR_EXIT ||
        hit.cpu >= kMaxCpus)
      continue;
    std::memcpy(&hit, page + at, sizeof(hit));
    c->hits.push_back(hit);
  }
}

bool older(const ktstr_hit& a, const ktstr_hit& b) { return a.ns < b.ns; }

bool same(const ktstr_hit& a, const ktstr_hit& b) {
  return a.ns == b.ns && a.target == b.target && a.when == b.when && a.cpu == b.cpu && a.pid == b.pid;
}

void keep_newest(std::vector<ktstr_hit>* hits) {
  std::stable_sort(hits->begin(), hits->end(), older);
  hits->erase(std::unique(hits->begin(), hits->end(), same), hits->end());
  if (hits->size() > kMaxRingHits)
    hits->erase(hits->begin(), hits->end() - static_cast<std::ptrdiff_t>(kMaxRingHits));
}

}  // namespace

Result<probe::Capture> read_rings(int ram, size_t targets) {
  probe::Capture c;
  std::vector<uint8_t> chunk(kChunk);
  off_t at = 0;
  for (;;) {
    const off_t data = ::lseek(ram, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // nothing but a hole is left
    if (data < 0) return Error::from_errno("the guest's RAM");
    at = data / static_cast<off_t>(kPage) * static_cast<off_t>(kPage);
    const ssize_t n = ::pread(ram, chunk.data(), chunk.size(), at);
    if (n < 0) return Error::from_errno("the guest's RAM");
    if (n == 0) break;
    for (size_t page = 0; page + kPage <= static_cast<size_t>(n); page += kPage)
      take_page(chunk.data() + page, targets, &c);
    at += static_cast<off_t>(n);
    if (static_cast<size_t>(n) < kPage) break;
    if (c.hits.size() > 2 * kMaxRingHits) keep_newest(&c.hits);
  }
  keep_newest(&c.hits);
  c.taken = c.hits.size();
  return c;
}

}  // namespace ktstr
