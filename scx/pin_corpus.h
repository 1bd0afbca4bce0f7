// The text that error pins are matched against: the scheduler's log, then the sched_ext dump, as they came.
// Kept only when the test has pins; bounded, and it says when it was cut.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ktstr {

class PinCorpus {
 public:
  static constexpr size_t kMaxBytes = 256 << 20;

  explicit PinCorpus(bool wanted = false) : wanted_(wanted) {}

  void scheduler_line(std::string_view text) { add(log_, text); }
  void dump_line(std::string_view text) { add(dump_, text); }

  // Log lines, then dump lines, joined by newlines, none at the end.
  std::string text() const {
    if (log_.empty() || dump_.empty()) return log_ + dump_;
    return log_ + "\n" + dump_;
  }
  bool cut() const { return cut_; }

 private:
  void add(std::string& to, std::string_view text) {
    if (!wanted_) return;
    if (log_.size() + dump_.size() + text.size() + 1 > kMaxBytes) {
      cut_ = true;
      return;
    }
    if (any(to)) to += '\n';
    to += text;
    (&to == &log_ ? any_log_ : any_dump_) = true;
  }
  bool any(const std::string& to) const { return &to == &log_ ? any_log_ : any_dump_; }

  bool wanted_;
  bool cut_ = false;
  bool any_log_ = false, any_dump_ = false;
  std::string log_, dump_;
};

}  // namespace ktstr
