// What the page of a run shows beyond its report, folded from the same events: series over time, whole logs with their times.
// Bounded, whatever the guest says.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "reporter/html/metric_series.h"
#include "reporter/html/sample_series.h"
#include "reporter/metrics_record.h"
#include "schemas/envelope.h"

namespace ktstr {

// The guest's clock for every event: those that carry no guest time are placed by the host's clock after the last one that did.
class GuestClock {
 public:
  // ns, guest CLOCK_MONOTONIC; `stated`: what the event itself says, 0: nothing.
  int64_t at(const EventBuffer& event, uint64_t stated = 0);
  // Of a moment before the first event with a guest time.
  int64_t guest_of_host(uint64_t host_ns) const {
    return static_cast<int64_t>(first_guest_ns_ + host_ns - first_host_ns_);
  }

 private:
  bool known_ = false;
  uint64_t first_guest_ns_ = 0, first_host_ns_ = 0;
  uint64_t guest_ns_ = 0, host_ns_ = 0;
};

// The first lines of a text and the last ones, with the guest's time of each.
class TimedLines {
 public:
  struct Line {
    int64_t guest_ns;
    std::string text;
  };
  void push(int64_t guest_ns, std::string_view text);
  const std::vector<Line>& head() const { return head_; }
  const std::deque<Line>& tail() const { return tail_; }
  uint64_t left_out() const { return total_ - head_.size() - tail_.size(); }
  uint64_t total() const { return total_; }

  static constexpr size_t kLines = 2500, kBytes = 512 << 10, kLineBytes = 2048;  // of each end

 private:
  std::vector<Line> head_;
  std::deque<Line> tail_;
  size_t head_bytes_ = 0, tail_bytes_ = 0;
  bool head_full_ = false;
  uint64_t total_ = 0;
};

class RunPicture {
 public:
  explicit RunPicture(size_t points) : samples_(points) {}
  void fold(const EventBuffer& event);

  struct Log {
    std::string
        name;  // "console", "scheduler", "repro VM: console", "payload NAME", an extra collector's name
    TimedLines lines;
  };
  static constexpr size_t kMostLogs = 24;

  const GuestClock& clock() const { return primary_clock_; }
  const SampleSeries& samples() const { return samples_; }
  const std::vector<Log>& logs() const { return logs_; }
  const MetricSeries& metrics() const { return metrics_; }
  uint64_t logs_left_out() const { return logs_left_out_; }  // lines of logs above the bound
  // Guest time at which sched_ext's state was first seen with an error as its exit; 0: never.
  int64_t exit_ns() const { return exit_ns_; }

 private:
  void line(std::string name, bool repro, int64_t at, const flatbuffers::String* text);

  GuestClock primary_clock_, repro_clock_;
  SampleSeries samples_;
  MetricSources metric_sources_;
  MetricSeries metrics_;
  std::vector<Log> logs_;
  uint64_t logs_left_out_ = 0;
  int64_t exit_ns_ = 0;
};

}  // namespace ktstr
