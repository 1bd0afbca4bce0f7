// Wording that all messages about a spec share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

// In double quotes, safe to print on one line: control characters and bytes that are not printable ASCII or
// UTF-8's are escaped (\n, \x1b); cut after `max` characters with "…".
std::string in_quotes(std::string_view text, size_t max = 200);

// The candidate that `word` is most likely a slip of; empty when none is near. Compares without case, by edit
// distance with swapped neighbours as one edit; near means at most a third of the word's length, or `word`
// being its beginning.
std::string closest(std::string_view word, const std::vector<std::string>& candidates);

// `; did you mean "X"?`, or "" when nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// "1 LLC", "2 LLCs".
std::string count_of(uint64_t count, std::string_view one);

// "ENOMEM (Cannot allocate memory)".
std::string errno_text(int error);

}  // namespace ktstr
