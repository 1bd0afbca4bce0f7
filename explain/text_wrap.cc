#include "explain/text_wrap.h"

#include <algorithm>

#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kNarrowest = 60, kWidest = 240;

bool word_did_not_fit(std::string_view line, std::string_view next, size_t width) {
  next = trim(next);
  return line.size() + 1 + std::min(next.find(' '), next.size()) > width;
}

}  // namespace

TextWrap TextWrap::of(const std::vector<std::string>& lines, const std::vector<bool>& begins) {
  size_t width = 0, full = 0, rests = 0, after_full = 0, after_word = 0;
  for (const std::string& line : lines) width = std::max(width, line.size());
  if (width < kNarrowest || width > kWidest) return {};
  for (size_t i = 0; i < lines.size(); ++i) {
    full += lines[i].size() == width;
    if (i == 0 || begins[i]) continue;
    ++rests;
    after_full += lines[i - 1].size() == width;
    after_word += word_did_not_fit(lines[i - 1], lines[i], width);
  }
  TextWrap out;
  // Most of what is no beginning must be the rest of a broken line: else these are lines of another sort.
  if (full >= 2 && after_full >= 1 && after_full * 10 >= rests * 6) {
    out.width_ = width;
  } else if (rests >= 2 && after_word * 10 >= rests * 9 && width <= 132) {
    out.width_ = width;
    out.words_ = true;
  }
  return out;
}

bool TextWrap::goes_on(std::string_view line, std::string_view next) const {
  if (width_ == 0 || trim(next).empty() || line.empty()) return false;
  return words_ ? word_did_not_fit(line, next, width_) : line.size() == width_;
}

}  // namespace ktstr
