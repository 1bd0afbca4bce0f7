// Cuts a byte stream into lines of bounded length. Header-only: host and guest programs share it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ktstr {

class LineSplitter {
 public:
  explicit LineSplitter(size_t max_line) : max_line_(max_line) {}

  // Calls on_line(std::string_view text, bool truncated) for every line that ended. The line end ("\n",
  // "\r\n") is not part of the text; of a line longer than the limit only the beginning is kept. The text is
  // valid during the call.
  template <typename OnLine>
  void feed(std::string_view bytes, OnLine&& on_line) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      take(bytes.substr(0, end));
      if (end == std::string_view::npos) return;
      emit(on_line);
      bytes.remove_prefix(end + 1);
    }
  }

  // The stream ended: a last line without its end is handed out too.
  template <typename OnLine>
  void flush(OnLine&& on_line) {
    if (!line_.empty() || truncated_) emit(on_line);
  }

  bool partial() const { return !line_.empty(); }
  uint64_t lines() const { return lines_; }
  uint64_t cut() const { return cut_; }  // lines that were longer than the limit

 private:
  void take(std::string_view part) {
    const size_t room = max_line_ + 1 - line_.size();  // one more, for a '\r' at the limit
    if (part.size() > room) truncated_ = true;
    line_.append(part.substr(0, room));
  }
  template <typename OnLine>
  void emit(OnLine&& on_line) {
    while (!line_.empty() && line_.back() == '\r') line_.pop_back();
    if (line_.size() > max_line_) {
      line_.resize(max_line_);
      truncated_ = true;
    }
    ++lines_;
    if (truncated_) ++cut_;
    on_line(std::string_view(line_), truncated_);
    line_.clear();
    truncated_ = false;
  }

  size_t max_line_;
  std::string line_;
  bool truncated_ = false;
  uint64_t lines_ = 0, cut_ = 0;
};

}  // namespace ktstr
