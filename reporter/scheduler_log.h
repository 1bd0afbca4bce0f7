// What a scheduler printed, as a report shows it: a copy of the kernel's dump gives way to one line that says where
// the dump is printed, and the rest goes to a LineLog. A line is only left out where the dump holds the same text.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "reporter/line_log.h"

namespace ktstr {

class SchedulerLog {
 public:
  explicit SchedulerLog(HeadTail::Limits limits) : shown_(limits) {}

  // The kernel's dump, and where the report prints it.
  struct Dump {
    const HeadTail& lines;
    std::string_view section;
    uint64_t first_printed = 1;  // counted from 1: an earlier line is not printed
  };

  void push(std::string_view line);
  // No line follows. Called once, before lines are read. The dump may arrive after its copy, so the newest lines wait
  // for it: at most kMostLines of kMostBytes. A copy that more than these follow stays as it is.
  void finish(const Dump& dump);

  const HeadTail& kept() const { return shown_.kept(); }
  uint64_t total() const { return total_; }  // lines that came in
  bool empty() const { return total_ == 0; }
  // Tasks of the scheduler's copy that the kept lines of the kernel's dump do not have.
  size_t tasks_only_here() const { return tasks_only_here_; }

  static constexpr size_t kMostLines = 32768, kMostBytes = 8 << 20;

 private:
  void show_waiting(const Dump& dump);

  std::deque<std::string> waiting_;
  size_t waiting_bytes_ = 0;
  uint64_t total_ = 0;
  size_t tasks_only_here_ = 0;
  LineLog shown_;
};

}  // namespace ktstr
