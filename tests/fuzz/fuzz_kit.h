// What the fuzzers share. A fuzzer is one file: what it does with one input, and inputs to begin with.
//
// Each is built twice. With the tests (any compiler): driver.cc changes the seeds at random for a few seconds. By
// `./ktstr test --long fuzz` (clang, ASan, UBSan): libFuzzer, guided by coverage; libfuzzer_glue.cc adds the seeds and the
// changes below to its own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

#include "schemas/envelope.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace ktstr::fuzz {

using Input = std::vector<uint8_t>;

// Each fuzzer's own.
std::vector<Input> seeds();

// Holds in every build; libFuzzer and the driver keep the input.
inline void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

inline Input input_of(std::string_view text) { return {text.begin(), text.end()}; }
inline Input input_of(const EventBuffer& event) { return {event.bytes().begin(), event.bytes().end()}; }
inline std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Changes an input in a place or two. Random bytes seldom pass the FlatBuffers verifier: so whole aligned words become another
// offset, a length, or another word of the input (two references to one place).
void mutate(Input& input, std::mt19937& random);

// Several pieces in one input: u16 length, bytes. The last may be cut.
std::vector<std::span<const uint8_t>> pieces(std::span<const uint8_t> input);
Input join(const std::vector<Input>& pieces);

// Events of every speaker.
std::vector<EventBuffer> sample_events();

}  // namespace ktstr::fuzz
