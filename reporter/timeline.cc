#include "reporter/timeline.h"

#include <algorithm>

namespace ktstr {

int64_t between(const Moment& earlier, const Moment& later) {
  if (earlier.guest_ns && later.guest_ns) return static_cast<int64_t>(later.guest_ns - earlier.guest_ns);
  return static_cast<int64_t>(later.host_ns - earlier.host_ns);
}

void Timeline::begin(std::string_view name, const Moment& at) {
  if (!phases_.empty() && !phases_.back().end && phases_.back().name == name) return;  // goes on
  end(at);
  if (phases_.size() >= kMaxPhases) {
    ++phases_left_out_;
    return;
  }
  phases_.push_back({.name = std::string(name.substr(0, 128)), .start = at});
}

void Timeline::end(const Moment& at) {
  if (!phases_.empty() && !phases_.back().end) phases_.back().end = at;
}

void Timeline::mark(const Moment& at, std::string_view text) {
  if (marks_.size() >= kMaxMarks) {
    ++marks_left_out_;
    return;
  }
  marks_.push_back({at, {}, std::string(text.substr(0, 1024))});
}

void Timeline::collector_line(const Moment& at, std::string_view text, std::string_view source) {
  Mark line{at, std::string(source.substr(0, 64)), std::string(text.substr(0, 1024))};
  ++collector_lines_;
  if (collector_first_.size() < kMaxMarks) {
    collector_first_.push_back(std::move(line));
    return;
  }
  collector_last_.push_back(std::move(line));
  if (collector_last_.size() > kMaxMarks) collector_last_.pop_front();
}

std::vector<Mark> Timeline::marks() const {
  std::vector<Mark> all = marks_;
  all.insert(all.end(), collector_first_.begin(), collector_first_.end());
  all.insert(all.end(), collector_last_.begin(), collector_last_.end());
  // As they are shown: what the host saw later may have happened earlier in the guest.
  std::ranges::stable_sort(all, {}, [&](const Mark& mark) { return between(zero_, mark.at); });
  return all;
}

uint64_t Timeline::marks_left_out() const {
  return marks_left_out_ + collector_lines_ - collector_first_.size() - collector_last_.size();
}

void Timeline::sample(const std::optional<MonitorSummary::Load>& load) {
  if (phases_.empty() || phases_.back().end) return;
  PhaseRecord& phase = phases_.back();
  ++phase.samples;
  if (load) MonitorSummary::add(phase.load, *load);
}

const PhaseRecord* Timeline::find(std::string_view name) const {
  auto it =
      std::find_if(phases_.begin(), phases_.end(), [&](const PhaseRecord& p) { return p.name == name; });
  return it == phases_.end() ? nullptr : &*it;
}

}  // namespace ktstr
