// One output stream of the scheduler: a pipe whose lines become SchedulerLine events.
#pragma once

#include <cstdint>
#include <string>

#include "launcher/guest/event_channel.h"
#include "launcher/guest/event_loop.h"
#include "runtime/line_splitter.h"
#include "runtime/unique_fd.h"

namespace ktstr::guest {

class OutputReader {
 public:
  OutputReader(EventLoop& loop, EventChannel& channel, OutputStream stream)
      : loop_(loop), channel_(channel), stream_(stream) {}
  ~OutputReader() { close(); }

  // The reading end, non-blocking.
  void start(UniqueFd pipe);
  // Reads what is there now, without waiting, and hands out a partial last line when `last`.
  void drain(bool last);

  uint64_t dropped() const { return dropped_; }
  uint64_t last_byte_ns() const { return last_byte_ns_; }
  const std::string& last_line() const { return last_line_; }  // last one that was not blank

 private:
  // A scheduler that floods its output keeps running, at its own pace; what is above the rate is dropped and
  // counted.
  static constexpr uint64_t kLinesPerSecond = 20'000;
  static constexpr size_t kMaxLine = 4096;

  bool read_some();
  void on_line(std::string_view text, bool truncated);
  void close();

  EventLoop& loop_;
  EventChannel& channel_;
  OutputStream stream_;
  UniqueFd pipe_;
  LineSplitter splitter_{kMaxLine};
  std::string last_line_;
  uint64_t last_byte_ns_ = 0;
  uint64_t second_ = 0, lines_this_second_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace ktstr::guest
