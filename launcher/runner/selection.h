// Which of the planned tests this run takes, and in which order: --partition, --shuffle.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct Partition {
  enum class By {
    kCount,  // every Nth test, from the Kth on: parts of equal size
    kHash,   // by the test's name: a test stays in its part when others are added or removed
  };
  By by = By::kCount;
  uint32_t part = 1, parts = 1;

  bool whole() const { return parts == 1; }
};

// "count:2/4", "hash:2/4"; kInvalid says what is wrong.
Result<Partition> parse_partition(std::string_view text);

// The indexes of `names` that belong to the part, in order. The parts 1..N together are all of them, each once.
std::vector<size_t> select_partition(const std::vector<std::string>& names, const Partition& partition);

// The same order for the same seed on every machine.
void shuffle(std::vector<size_t>& order, uint64_t seed);

}  // namespace ktstr
