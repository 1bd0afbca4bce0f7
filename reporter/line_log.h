// A log of unknown length as a report shows it: cycles folded (twice, so that cycles of cycles fold too), and
// the middle left out when it is still too long. Memory is bounded by the limits.
#pragma once

#include "base/line_buffers.h"
#include "reporter/cycle_collapser.h"

namespace ktstr {

class LineLog {
 public:
  explicit LineLog(HeadTail::Limits limits) : kept_(limits) {}

  void push(std::string_view line);
  // No line follows. Called once, before lines are read.
  void finish();

  const HeadTail& kept() const { return kept_; }
  uint64_t total() const { return total_; }  // lines that came in
  bool empty() const { return total_ == 0; }

 private:
  void drain_inner();

  CycleCollapser inner_, outer_;
  std::vector<std::string> from_inner_, from_outer_;
  HeadTail kept_;
  uint64_t total_ = 0;
};

}  // namespace ktstr
