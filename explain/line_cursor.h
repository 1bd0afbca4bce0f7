// What the prefixes of loggers are read with: a cursor, and dates as loggers write them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/text.h"

namespace ktstr {

// A cursor over the beginning of a line; each take…() goes on only when it fits.
class LineCursor {
 public:
  explicit LineCursor(std::string_view text) : text_(text) {}

  bool done() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  size_t at() const { return at_; }
  std::string_view rest() const { return text_.substr(std::min(at_, text_.size())); }
  std::string_view since(size_t begin) const { return text_.substr(begin, at_ - begin); }
  void skip(size_t n) { at_ = std::min(at_ + n, text_.size()); }
  void blanks() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  // Between `least` and `most` digits, no more after them.
  bool digits(size_t least, size_t most, uint64_t* value = nullptr) {
    size_t n = 0;
    uint64_t v = 0;
    while (n <= most && is_digit(peek(n))) v = v * 10 + static_cast<uint64_t>(peek(n++) - '0');
    if (n < least || n > most) return false;
    if (value) *value = v;
    at_ += n;
    return true;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// "23:28:55", "23:28:55.823837", also with ',' before the fraction. In us.
bool take_time(LineCursor& c, uint64_t& us);
// "2025-01-17T22:24:05+0300", "2025-01-17 22:24:05.123Z"
bool take_iso(LineCursor& c, uint64_t& us);
// A month's name in any language is three to five letters; only English ones can be compared.
bool take_month(LineCursor& c, uint64_t& month);

}  // namespace ktstr
