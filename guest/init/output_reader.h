// One output stream of a program: a pipe, read by line.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/line_splitter.h"
#include "base/unique_fd.h"

namespace ktstr::guest {

class OutputReader {
 public:
  // `text` is valid during the call.
  using OnLine = std::function<void(std::string_view text, bool truncated, uint64_t guest_ns)>;

  static constexpr uint64_t kAnyRate = ~uint64_t{0};

  explicit OutputReader(EventLoop& loop, OnLine on_line, uint64_t lines_per_second = 20'000,
                        size_t max_line = 4096)
      : loop_(loop), on_line_(std::move(on_line)), lines_per_second_(lines_per_second), splitter_(max_line) {}
  ~OutputReader() { close(); }

  // The reading end, non-blocking.
  void start(UniqueFd pipe);
  // Reads what is there now, without waiting, and hands out a partial last line when `last`.
  void drain(bool last);

  uint64_t dropped() const { return dropped_; }
  uint64_t last_byte_ns() const { return last_byte_ns_; }
  const std::string& last_line() const { return last_line_; }  // last one that was not blank

 private:
  // A program that floods its output keeps running, at its own pace; what is above the rate is dropped and counted, but for
  // the last lines of a flood: a verifier's log ends with its objection.
  static constexpr size_t kLastLines = 40;
  struct Line {
    std::string text;
    bool truncated = false;
    uint64_t guest_ns = 0;
  };

  bool read_some();
  void let_go();
  void take_line(std::string_view text, bool truncated);
  void close();

  EventLoop& loop_;
  OnLine on_line_;
  const uint64_t lines_per_second_;
  UniqueFd pipe_;
  LineSplitter splitter_;
  std::string last_line_;
  uint64_t last_byte_ns_ = 0;
  uint64_t second_ = 0, lines_this_second_ = 0;
  uint64_t dropped_ = 0;
  std::deque<Line> over_;  // the newest lines above the rate
};

}  // namespace ktstr::guest
