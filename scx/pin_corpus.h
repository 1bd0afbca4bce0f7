// The text that error pins are matched against: the scheduler's log, then the sched_ext dump, as they came.
// Kept only when the test has pins; bounded, and it says when it was cut. The verdict (reporter), the decision
// that a crash is the expected one (reproer) and a proposed pin's proof (pin_proposal) all read this corpus.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "schemas/envelope.h"

namespace ktstr {

class PinCorpus {
 public:
  static constexpr size_t kMaxBytes = 256 << 20;

  explicit PinCorpus(bool wanted = false, size_t max_bytes = kMaxBytes)
      : wanted_(wanted), max_bytes_(max_bytes) {}

  // SchedulerLine and DumpLine of one VM; others are ignored.
  void fold(const EventBuffer& event);

  // Log lines, then dump lines, joined by newlines, none at the end.
  std::string text() const;
  // Lines that did not fit are missing.
  bool cut() const { return cut_; }

 private:
  struct Part {
    std::string text;
    bool any = false;  // an empty first line is a line
  };
  void add(Part& to, std::string_view line);

  bool wanted_;
  size_t max_bytes_;
  bool cut_ = false;
  Part log_, dump_;
};

}  // namespace ktstr
