#include "explain/line_cursor.h"

#include <cctype>
#include <string>

namespace ktstr {
namespace {

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};

}  // namespace

bool take_time(LineCursor& c, uint64_t& us) {
  uint64_t h = 0, m = 0, s = 0;
  if (!c.digits(2, 2, &h) || !c.take(':') || !c.digits(2, 2, &m) || !c.take(':') || !c.digits(2, 2, &s))
    return false;
  us = ((h * 60 + m) * 60 + s) * 1'000'000;
  if ((c.peek() == '.' || c.peek() == ',') && is_digit(c.peek(1))) {
    c.skip(1);
    uint64_t scale = 100'000;
    while (is_digit(c.peek())) {
      us += static_cast<uint64_t>(c.peek() - '0') * scale;
      scale /= 10;
      c.skip(1);
    }
  }
  return true;
}

bool take_iso(LineCursor& c, uint64_t& us) {
  uint64_t y = 0, m = 0, d = 0, t = 0;
  if (!c.digits(4, 4, &y) || !c.take('-') || !c.digits(2, 2, &m) || !c.take('-') || !c.digits(2, 2, &d))
    return false;
  if (c.peek() != 'T' && c.peek() != ' ') return false;
  c.skip(1);
  if (!take_time(c, t)) return false;
  us = ((y * 12 + m) * 31 + d) * 86'400'000'000 + t;
  if (c.take('Z')) return true;
  if ((c.peek() == '+' || c.peek() == '-') && is_digit(c.peek(1))) {
    c.skip(1);
    while (is_digit(c.peek()) || c.peek() == ':') c.skip(1);
  }
  return true;
}

bool take_month(LineCursor& c, uint64_t& month) {
  const size_t begin = c.at();
  while (std::isalpha(static_cast<unsigned char>(c.peek())) || (c.peek() & 0x80) || c.peek() == '.')
    c.skip(1);
  const std::string_view name = c.since(begin);
  if (name.size() < 3 || name.size() > 8) return false;
  if (c.peek() != ' ' && !is_digit(c.peek())) return false;  // no date goes on in another way
  const std::string low = lower(name.substr(0, 3));
  for (size_t i = 0; i < std::size(kMonths); ++i)
    if (low == kMonths[i]) month = i + 1;
  return true;
}

}  // namespace ktstr
