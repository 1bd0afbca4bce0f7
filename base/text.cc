#include "base/text.h"

#include <algorithm>
#include <cstdio>

namespace ktstr {
namespace {

// Length of the well-formed UTF-8 sequence at s[0], 0 if there is none. Overlong forms and surrogates are refused,
// and so are the C1 controls (U+0080..U+009F): some terminals act upon them.
size_t utf8_length(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  auto follows = [&](size_t n) {
    if (s.size() < n) return false;
    for (size_t i = 1; i < n; ++i)
      if ((byte(i) & 0xc0) != 0x80) return false;
    return true;
  };
  unsigned char b = byte(0);
  if (b >= 0xc2 && b <= 0xdf) return follows(2) && !(b == 0xc2 && byte(1) < 0xa0) ? 2 : 0;
  if ((b & 0xf0) == 0xe0) {
    if (!follows(3) || (b == 0xe0 && byte(1) < 0xa0) || (b == 0xed && byte(1) >= 0xa0)) return 0;
    return 3;
  }
  if (b >= 0xf0 && b <= 0xf4) {
    if (!follows(4) || (b == 0xf0 && byte(1) < 0x90) || (b == 0xf4 && byte(1) >= 0x90)) return 0;
    return 4;
  }
  return 0;
}

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
    } else if (size_t n = utf8_length(text.substr(i))) {
      out.append(text, i, n);
      i += n;
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
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
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
