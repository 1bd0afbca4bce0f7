// What web pages, word processors, mailers and terminals make of a log's characters, undone: HTML's entities, typographic
// quotes and blanks, escapes that are shown as "^[[32m", quoted-printable. Learned from the text's head, so that a text which has
// none of these costs nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

class TextCharacters {
 public:
  TextCharacters() = default;
  static TextCharacters of(std::string_view head);

  bool plain() const { return !entities_ && !typographic_ && !carets_ && !printable_; }
  // The line in plain characters, good until the next call. nullopt: it goes on in the next line (quoted-printable).
  std::optional<std::string_view> line(std::string_view raw);

 private:
  bool entities_ = false, typographic_ = false, carets_ = false, printable_ = false;
  std::string begun_;  // of a line that goes on
  std::string out_;
};

}  // namespace ktstr
