// The forms of a log that are not one line of text a message: JSON (journalctl, dmesg --json, container logs), the journal's
// export, a text inside one string ("line\\nline"), fragments of netconsole, parts of pstore.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "explain/pstore_parts.h"
#include "explain/text_line.h"

namespace ktstr {

class JournalDecoder {
 public:
  using OnText = std::function<void(std::string_view text, Origin origin, std::string_view when)>;

  // A line of the text; calls `on_text` for what it holds: itself, or the lines of the entry's message.
  void feed(std::string_view line, const OnText& on_text);
  void finish(const OnText& on_text);

 private:
  void message(std::string_view line, const OnText& on_text);
  void one(std::string_view line, const OnText& on_text);
  bool json(std::string_view line, const OnText& on_text);
  bool pretty(std::string_view line, const OnText& on_text);
  bool entries(const Json& value, int depth, const OnText& on_text);
  void field(const std::string& key, const Json& value);
  bool fragment(std::string_view line, const OnText& on_text);
  bool export_field(std::string_view line, const OnText& on_text);
  void emit(const OnText& on_text);

  bool export_ = false;  // inside an export: "__CURSOR=" was seen
  bool binary_ = false;  // lines of a field with line breaks, after its length
  bool skip_length_ = false;
  bool pretty_ = false;  // inside an object of which each line is one field
  std::string message_, identifier_, when_;
  std::string fragments_;  // of one message of netconsole, with its stamp
  size_t fragments_left_ = 0;
  PstoreParts parts_;
};

}  // namespace ktstr
