#include "spec/spec_errors.h"

#include <algorithm>

namespace ktstr {

void SpecErrors::add(unsigned line, std::string_view what, std::string_view hint) {
  std::string text(what);
  if (!hint.empty()) text += "; " + std::string(hint);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  // Every cell of a matrix finds the same mistake.
  for (const Entry& known : errors_)
    if (known.line == line && known.text == text) return;
  errors_.push_back({line, std::move(text)});
}

Error SpecErrors::to_error() const {
  std::vector<Entry> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry& a, const Entry& b) { return a.line < b.line; });
  std::string out;
  size_t shown = 0;
  for (const Entry& entry : sorted) {
    if (shown == kMaxShown) {
      out += "\n" + path_ + ": " + std::to_string(sorted.size() - shown) + " more errors";
      break;
    }
    if (shown++ > 0) out += "\n";
    out += path_ + ":" + (entry.line ? std::to_string(entry.line) + ":" : "") + " " + entry.text;
  }
  return Error::invalid(std::move(out));
}

}  // namespace ktstr
