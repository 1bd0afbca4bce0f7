// The text of a report under construction. Every line goes through printable(), so nothing that came from a
// guest can move a cursor, add a line or hide one.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/line_buffers.h"

namespace ktstr {

// A line as a page prints it: no terminal escapes, no blanks at the end.
std::string printed_line(std::string_view text);

class Page {
 public:
  void line(std::string_view text = {});
  template <typename... Args>
  void linef(fmt::format_string<Args...> format, Args&&... args) {
    line(fmt::format(format, std::forward<Args>(args)...));
  }
  // "--- stats ---", after an empty line.
  void title(std::string_view name);
  // Text that may hold several lines, each indented.
  void block(std::string_view text, std::string_view indent);
  // The lines of a long log; says how many are left out in the middle.
  void log(const HeadTail& lines, std::string_view indent = {});

  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Columns as wide as their widest cell; the last one is not padded.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  void print(Page& page, std::string_view indent = "  ") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ktstr
