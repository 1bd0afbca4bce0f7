// Reads a text of any size line by line, in the order of time: a file or standard input, plain or compressed, newest line
// first or last. Memory does not grow with the text (a reversed text that cannot be read from its end is an exception,
// which is bounded).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "explain/text_shape.h"

namespace ktstr {

struct TextStats {
  uint64_t bytes = 0;  // of text, decompressed
  bool reversed = false;
  std::vector<std::string> notes;  // what was not read, and why
};

// More is not read: decompressed text, and text that is held to be reversed.
inline constexpr uint64_t kMaxDecompressed = 4ull << 30;
inline constexpr size_t kMaxHeld = 64u << 20;

// `path`: "-" for standard input. Calls `on_line` for each line, without its end. Errors: it cannot be opened or read, or is
// no text.
Result<TextStats> read_text(const std::string& path, const std::function<void(std::string_view)>& on_line);

// Whether the newest line is the first one, by stamps and by what follows what in the kernel's messages.
bool is_reversed(std::string_view head, TextShape shape = {});

}  // namespace ktstr
