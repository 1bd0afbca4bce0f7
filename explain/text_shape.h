// What was done to a text as a whole: what stands before every line and is no logger's stamp (the name that grep or a container
// tool puts there, numbers of lines, the sign of a quote or a diff), blank lines between all others, broken lines, changed
// characters. Learned from the text's head: what makes more of its lines readable.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "explain/text_characters.h"
#include "explain/text_wrap.h"

namespace ktstr {

class TextShape {
 public:
  using OnLine = std::function<void(std::string_view)>;

  TextShape() = default;
  // `head`: the beginning of the text, whole lines.
  static TextShape of(std::string_view head);

  // Calls `on_line` for each line that is complete now, as it was before.
  void feed(std::string_view raw, const OnLine& on_line);
  void finish(const OnLine& on_line);
  // The text is read from its end: no line is joined with the next one.
  void read_backwards() { wrap_ = {}; }

 private:
  // Less its prefix. nullopt: a blank line that a doubled text has between its lines, or grep's line between two places.
  std::optional<std::string_view> unprefixed(std::string_view raw);

  TextCharacters characters_;
  TextWrap wrap_;
  std::string name_;       // "kern.log", "host1  ", "+"; empty: none
  bool numbered_ = false;  // a number follows
  bool prefixed_ = false;
  bool sign_ = false;  // `name_` is a sign that needs no separator
  bool doubled_ = false;
  bool was_blank_ = true;
  std::string held_;  // a line that may go on, while lines are joined
  bool holds_ = false;
  size_t last_ = 0;  // where the last piece of `held_` begins
};

}  // namespace ktstr
