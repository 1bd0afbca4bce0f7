// libFuzzer's own changes, ours, and now and then a seed.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz_kit.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  using namespace ktstr::fuzz;
  static const std::vector<Input> first = seeds();
  std::mt19937 random(seed);
  if (random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Input input(data, data + size);
  if (size < 8 || random() % 64 == 0) input = first[random() % first.size()];
  mutate(input, random);
  const size_t kept = std::min(input.size(), max_size);
  std::memcpy(data, input.data(), kept);
  return kept;
}
