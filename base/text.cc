#include "base/text.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace ktstr {
namespace {

// Number of bytes of the escape sequence at s[0] == ESC.
size_t escape_length(std::string_view s) {
  if (s.size() < 2) return s.size();
  size_t i = 2;
  switch (s[1]) {
    case '[':  // CSI: parameters, then one final byte @..~
      while (i < s.size() && (s[i] < '@' || s[i] > '~')) ++i;
      return std::min(i + 1, s.size());
    case ']':  // OSC and its kin: up to BEL or ESC backslash
    case 'P':
    case '_':
    case '^':
    case 'X':
      while (i < s.size() && s[i] != '\a' && s[i] != '\x1b') ++i;
      if (i < s.size() && s[i] == '\x1b' && i + 1 < s.size() && s[i + 1] == '\\') return i + 2;
      return std::min(i + 1, s.size());
    default:
      return 2;
  }
}

}  // namespace

CodePoint first_code_point(std::string_view text) {
  if (text.empty()) return {};
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  char32_t value = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return {};
    value = value << 6 | (byte & 0x3f);
  }
  constexpr char32_t kLeast[] = {0x80, 0x800, 0x10000};
  if (value < kLeast[length - 2] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

bool steers(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  constexpr Range kRanges[] = {{0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f}, {0x2028, 0x202e},
                               {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](Range range) { return c >= range.first && c <= range.last; });
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == 0x1b) {
      i += escape_length(text.substr(i));
    } else if (c < 0x20 || c == 0x7f) {
      if (c == '\t') out += '\t';
      ++i;
    } else if (c < 0x80) {
      out += text[i++];
    } else if (const CodePoint point = first_code_point(text.substr(i));
               point.length > 0 && !steers(point.value)) {
      out.append(text, i, point.length);
      i += point.length;
    } else {
      out += '?';
      ++i;
    }
  }
  return out;
}

std::string human_ns(uint64_t ns) {
  char buf[32];
  double v = static_cast<double>(ns);
  if (ns >= 1'000'000'000u)
    std::snprintf(buf, sizeof buf, "%.3f s", v / 1e9);
  else if (ns >= 1'000'000u)
    std::snprintf(buf, sizeof buf, "%.1f ms", v / 1e6);
  else if (ns >= 1'000u)
    std::snprintf(buf, sizeof buf, "%.1f us", v / 1e3);
  else
    std::snprintf(buf, sizeof buf, "%u ns", static_cast<unsigned>(ns));
  return buf;
}

std::string_view trim(std::string_view text) {
  // No find_first_not_of(): it calls memchr() for each character, and this runs several times for each line of a log.
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string hex_bytes(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace ktstr
