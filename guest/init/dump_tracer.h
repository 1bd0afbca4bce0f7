// A trace instance of our own with sched_ext:sched_ext_dump on; its lines become DumpLine events.
#pragma once

#include <cstdint>
#include <string>

#include "base/line_splitter.h"
#include "base/unique_fd.h"
#include "guest/init/event_channel.h"

namespace ktstr::guest {

class DumpTracer {
 public:
  explicit DumpTracer(EventChannel& channel) : channel_(channel) {}

  // Before the scheduler starts. Fails on a kernel without the tracepoint: the dump is then only on the
  // console and in the scheduler's own output. The trace clock is CLOCK_MONOTONIC; a full buffer keeps its
  // beginning, because the exit reason and the backtrace come first.
  Status start();
  // Sends what is there. Never blocks.
  void poll();
  uint64_t lines() const { return lines_; }
  uint64_t last_line_ns() const { return last_line_ns_; }  // guest time of the last read that gave a line

 private:
  void on_line(std::string_view line, bool truncated);

  EventChannel& channel_;
  UniqueFd pipe_;
  LineSplitter splitter_{4096};
  uint64_t lines_ = 0;
  uint64_t last_line_ns_ = 0;
  std::string comm_;  // of the last record
  int pid_ = 0, cpu_ = -1;
  uint64_t stamp_ns_ = 0;
};

}  // namespace ktstr::guest
