// What the monitor reads from a guest's RAM, when the guest rewrites its own structures: words of a made-up kernel's memory
// become other addresses, counts and bits, then everything that the monitor reads is read. An input is a list of changes.
#include <cstring>

#include "monitor/death_watch.h"
#include "monitor/freezer.h"
#include "monitor/sampler.h"
#include "monitor/testing/synthetic_kernel.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

constexpr size_t kMaxChanges = 64;

// One changed word. `kind` says where the new word comes from.
struct Change {
  uint32_t word;
  uint8_t kind;
  uint8_t add;
  uint16_t from;
  uint64_t value;
};
static_assert(sizeof(Change) == 16);

testing::SyntheticOptions options(bool newer) {
  testing::SyntheticOptions out;
  out.ram_bytes = 32u << 20;
  out.levels5 = newer;
  out.relative_base = !newer;
  out.pcpu_layout = newer;
  return out;
}

// A kernel, and the words of its memory that hold anything: changes elsewhere change nothing.
class Guest {
 public:
  explicit Guest(bool newer) : kernel_(options(newer)), ram_(kernel_.ram()) {
    for (uint64_t at = 0; at + 8 <= ram_.size(); at += 8)
      if (word(at) != 0) words_.push_back(at);
  }

  const testing::VectorRam& ram() const { return ram_; }
  RamLayout layout() const { return kernel_.ram_layout(); }

  void change(const Change& change) {
    const uint64_t at = words_[change.word % words_.size()];
    const uint64_t other = word(words_[(change.word + change.from) % words_.size()]);
    before_.emplace_back(at, word(at));
    uint64_t now = change.value;
    switch (change.kind % 7) {
      case 1:
        now = other;
        break;  // a pointer to somewhere else, a loop
      case 2:
        now = other + change.add;
        break;  // not aligned
      case 3:
        now = word(at) + change.add;
        break;
      case 4:
        now = ~0ull >> (change.add % 64);
        break;  // counts
      case 5:
        now = word(at) ^ (1ull << (change.add % 64));
        break;
      case 6:
        now = (word(at) & ~0xffffffffull) | (change.value & 0xffffffff);
        break;
      default:
        break;
    }
    ram_.write(at, &now, sizeof now);
  }
  void restore() {
    for (; !before_.empty(); before_.pop_back()) ram_.write(before_.back().first, &before_.back().second, 8);
  }

 private:
  uint64_t word(uint64_t at) const {
    uint64_t value = 0;
    ram_.read(at, &value, sizeof value);
    return value;
  }

  testing::SyntheticKernel kernel_;
  testing::VectorRam ram_;
  std::vector<uint64_t> words_;
  std::vector<std::pair<uint64_t, uint64_t>> before_;
};

size_t read_all(const Guest& guest) {
  LayoutCache cache;
  auto kernel = GuestKernel::attach(guest.ram(), guest.layout(), cache);
  if (!kernel) return 0;
  SystemClock clock;
  Sampler sampler(*kernel, clock, 1);
  size_t told = 0;
  for (int i = 0; i < 2; ++i)
    if (sampler.read().ok()) told += sampler.sample().cpus.size();
  DeathWatch(*kernel).look();
  const FreezeLimits limits;
  GuestFrozenT frozen = render(capture(*kernel, limits), kernel->layout(), limits);
  size_t fields = 0;
  for (const auto& map : frozen.maps)
    for (const auto& entry : map->entries) fields += entry->fields.size();
  must(fields <= limits.total_fields + limits.fields_per_entry, "a frozen guest is larger than its limit");
  return told + fields;
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> out;
  std::mt19937 random(1);
  for (int i = 0; i < 64; ++i) {
    Input input{static_cast<uint8_t>(i)};
    for (int n = 0; n < 1 + i % 8; ++n) {
      Change change{static_cast<uint32_t>(random()), static_cast<uint8_t>(random()),
                    static_cast<uint8_t>(random()), static_cast<uint16_t>(random()),
                    random() % 2 ? random() % 64 : random() * 0x100000001ull};
      const auto* raw = reinterpret_cast<const uint8_t*>(&change);
      input.insert(input.end(), raw, raw + sizeof change);
    }
    out.push_back(std::move(input));
  }
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr::fuzz;
  static Guest older(false), newer(true);
  static const bool whole = read_all(older) > 0 && read_all(newer) > 0;
  must(whole, "the unchanged guest cannot be read");
  if (size == 0) return 0;
  Guest& guest = data[0] % 2 ? newer : older;
  for (size_t at = 1, n = 0; at + sizeof(Change) <= size && n < kMaxChanges; at += sizeof(Change), ++n) {
    Change change;
    std::memcpy(&change, data + at, sizeof change);
    guest.change(change);
  }
  read_all(guest);
  guest.restore();
  return 0;
}
