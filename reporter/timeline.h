// When what happened in one VM: phases with the monitor's view of each, and marks.
//
// Times are the guest's where an event carries them (a loaded host delays what it sees), else the host's.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "reporter/monitor_summary.h"
#include "schemas/envelope.h"

namespace ktstr {

struct Moment {
  uint64_t host_ns = 0;
  uint64_t guest_ns = 0;  // 0: unknown
  static Moment of(const EventBuffer& event) {
    return {event->stamp()->host_ns(), event->stamp()->guest_ns()};
  }
};
// later - earlier, on the best clock that both have.
int64_t between(const Moment& earlier, const Moment& later);

struct PhaseRecord {
  std::string name;
  Moment start;
  std::optional<Moment> end;
  LoadAverage load;
  uint64_t samples = 0;  // all, also those that do not count for the load
};

struct Mark {
  Moment at;
  std::string source;  // an extra collector's name; empty: ktstr itself
  std::string text;
};

class Timeline {
 public:
  // Ends the current phase and begins another.
  void begin(std::string_view name, const Moment& at);
  void end(const Moment& at);
  void mark(const Moment& at, std::string_view text);
  // A line of an extra collector: the first ones and the last ones are kept.
  void collector_line(const Moment& at, std::string_view text, std::string_view source);
  void sample(const std::optional<MonitorSummary::Load>& load);
  void zero(const Moment& at) { zero_ = at; }

  const std::vector<PhaseRecord>& phases() const { return phases_; }
  uint64_t phases_left_out() const { return phases_left_out_; }
  // Marks and collectors' lines, by time.
  std::vector<Mark> marks() const;
  uint64_t marks_left_out() const;
  // Time 0: the workload's start; before that the VM's.
  const Moment& origin() const { return zero_; }
  const PhaseRecord* find(std::string_view name) const;

  static constexpr size_t kMaxPhases = 256;
  static constexpr size_t kMaxMarks = 200;  // our own; as many first and as many last lines of collectors

 private:
  std::vector<PhaseRecord> phases_;
  std::vector<Mark> marks_;
  std::vector<Mark> collector_first_;
  std::deque<Mark> collector_last_;
  uint64_t phases_left_out_ = 0, marks_left_out_ = 0, collector_lines_ = 0;
  Moment zero_;
};

}  // namespace ktstr
