// Text that came from outside: made safe to print, cut to size.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

// Without terminal escapes (CSI, OSC, …) and control characters; a tab stays; bytes that are not UTF-8, and those of code
// points that steer, become '?'.
std::string printable(std::string_view text);

// The code point at text[0]; length 0: no well-formed UTF-8 (overlong forms and surrogates are none).
struct CodePoint {
  char32_t value = 0;
  size_t length = 0;
};
CodePoint first_code_point(std::string_view text);
// True for a code point that changes what is shown instead of being shown: DEL, the C1 controls, marks, overrides and isolates
// of writing direction, line and paragraph separators, interlinear annotations, tags, the byte order mark.
bool steers(char32_t code_point);

// Less the white space at both ends.
std::string_view trim(std::string_view text);
// ASCII letters only, whatever the locale.
std::string lower(std::string_view text);
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// "0x1f".
std::string hex(uint64_t value);
// Two digits a byte, nothing between: "00ff".
std::string hex_bytes(std::span<const uint8_t> bytes);

// "1.500 s", "12.3 ms", "450 us", "80 ns": three or so digits, for people.
std::string human_ns(uint64_t ns);

}  // namespace ktstr
