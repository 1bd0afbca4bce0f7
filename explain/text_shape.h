// What stands before every line of a text and is no logger's stamp: the name that grep or a container tool puts there,
// numbers of lines, and blank lines between all others. Learned from the text's head: what makes more of its lines readable.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

class TextShape {
 public:
  TextShape() = default;
  // `head`: the beginning of the text, whole lines.
  static TextShape of(std::string_view head);

  // The line less its prefix. nullopt: a blank line that a doubled text has between its lines.
  std::optional<std::string_view> line(std::string_view raw);

 private:
  std::string name_;       // "kern.log", "host1  "; empty: none
  bool numbered_ = false;  // a number follows
  bool prefixed_ = false;
  bool doubled_ = false;
  bool was_blank_ = true;
};

}  // namespace ktstr
