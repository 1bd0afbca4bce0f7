// The forms of a journal that are not one line of text an entry: JSON and export (journalctl -o json, json-pretty, export).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "explain/text_line.h"

namespace ktstr {

class JournalDecoder {
 public:
  using OnText = std::function<void(std::string_view text, Origin origin, std::string_view when)>;

  // A line of the text; calls `on_text` for what it holds: itself, or the lines of the entry's message.
  void feed(std::string_view line, const OnText& on_text);
  void finish(const OnText& on_text);

 private:
  bool json(std::string_view line, const OnText& on_text);
  bool export_field(std::string_view line, const OnText& on_text);
  void emit(const OnText& on_text);

  bool export_ = false;  // inside an export: "__CURSOR=" was seen
  bool binary_ = false;  // lines of a field with line breaks, after its length
  bool skip_length_ = false;
  std::string message_, identifier_, when_;
};

}  // namespace ktstr
