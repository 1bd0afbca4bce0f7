// A text whose long lines a terminal or a mailer has broken at one width: which line is the rest of the one before. Learned
// from the text's head; a text without such breaks costs nothing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

class TextWrap {
 public:
  TextWrap() = default;
  // `lines`: the head's, none of them blank. `begins`: whether each looks like the beginning of a line of a log.
  static TextWrap of(const std::vector<std::string>& lines, const std::vector<bool>& begins);

  bool any() const { return width_ != 0; }
  // Whether `next`, which does not look like the beginning of a line, is the rest of `line`.
  bool goes_on(std::string_view line, std::string_view next) const;
  // What joins them.
  std::string_view joint() const { return words_ ? " " : ""; }

 private:
  size_t width_ = 0;
  bool words_ = false;  // broken between words, not after so many characters
};

}  // namespace ktstr
