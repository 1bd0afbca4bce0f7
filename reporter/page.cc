#include "reporter/page.h"

#include <algorithm>

#include "base/text.h"

namespace ktstr {
namespace {

// Characters, not bytes: names may hold UTF-8.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string printed_line(std::string_view text) {
  std::string clean = printable(text);
  while (!clean.empty() && (clean.back() == ' ' || clean.back() == '\t')) clean.pop_back();
  return clean;
}

void Page::line(std::string_view text) {
  text_ += printed_line(text);
  text_ += '\n';
}

void Page::title(std::string_view name) {
  line();
  linef("--- {} ---", name);
}

void Page::block(std::string_view text, std::string_view indent) {
  while (true) {
    size_t end = text.find('\n');
    line(std::string(indent) + std::string(text.substr(0, end)));
    if (end == text.npos || end + 1 == text.size()) return;
    text.remove_prefix(end + 1);
  }
}

void Page::log(const HeadTail& lines, std::string_view indent) {
  const std::string lead(indent);
  for (const std::string& text : lines.head()) line(lead + text);
  // A tail alone announces itself in its title.
  if (lines.left_out() && !lines.head().empty()) linef("{}… ({} lines left out) …", lead, lines.left_out());
  for (const std::string& text : lines.tail()) line(lead + text);
}

void Table::print(Page& page, std::string_view indent) const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  std::vector<std::vector<std::string>> clean = rows_;
  for (auto& row : clean) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  for (const auto& row : clean) {
    std::string text(indent);
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - width(row[i]) + 2, ' ');
    }
    page.line(text);
  }
}

}  // namespace ktstr
