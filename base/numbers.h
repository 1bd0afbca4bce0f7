// Text to whole numbers, in one strict way: all of the text is the number, or there is none.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace ktstr {

// `base` 10 or 16; 16 also takes "0x" before the digits; 0: 16 after "0x", else 10. A minus for signed types
// only. nullopt: empty, anything else than digits, or out of T's range.
template <std::integral T = uint64_t>
std::optional<T> parse_number(std::string_view text, int base = 10) {
  const bool minus = std::is_signed_v<T> && text.starts_with('-');
  if (minus) text.remove_prefix(1);
  if (base != 10 && (text.starts_with("0x") || text.starts_with("0X"))) {
    text.remove_prefix(2);
    base = 16;
  }
  uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), magnitude, base == 0 ? 10 : base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<T>::max());
  if (magnitude > kMax + (minus ? 1 : 0)) return std::nullopt;
  return static_cast<T>(minus ? 0 - magnitude : magnitude);
}

}  // namespace ktstr
