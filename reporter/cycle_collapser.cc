#include "reporter/cycle_collapser.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

#include "base/text.h"

namespace ktstr {
namespace {

uint32_t key_hash(std::string_view line) {
  uint64_t h = std::hash<std::string_view>()(cycle_key(line));
  uint32_t folded = static_cast<uint32_t>(h ^ (h >> 32));
  return folded ? folded : 1;  // 0 fills the history before the first line
}

constexpr size_t kWindowSlots = 4096;

}  // namespace

std::string_view cycle_key(std::string_view line) {
  size_t i = 0;
  while (i < line.size() && is_digit(line[i])) ++i;
  if (i > 0 && line.substr(i, 2) == ": ") {
    std::string_view rest = line.substr(i + 2);
    if (rest.starts_with("(")) {  // 12: (07) r1 += 1   ; R1=scalar(...)
      size_t states = line.find(';');
      std::string_view key = line.substr(0, states);
      while (!key.empty() && key.back() == ' ') key.remove_suffix(1);
      return key;
    }
    if ((rest.size() > 1 && rest[0] == 'R' && is_digit(rest[1])) || rest.starts_with("frame"))
      return line.substr(0, i + 2);  // 12: R1=...
  }
  if (line.starts_with("from ")) {  // from 14 to 6: R0=...
    size_t states = line.find(": ");
    if (states != line.npos) return line.substr(0, states);
  }
  return line;
}

CycleCollapser::CycleCollapser(Options options) : options_(options) {
  options_.max_period = std::clamp<size_t>(options_.max_period, 4, 4096);
  options_.min_repeats = std::clamp<size_t>(options_.min_repeats, 1, 4);
  forget_history();
}

void CycleCollapser::forget_history() {
  history_.assign(options_.max_period, 0);
  run_.assign(options_.max_period, 0);
  run_zero_ = true;
  in_window_.assign(kWindowSlots, 0);
  in_window_[0] = static_cast<uint16_t>(options_.max_period);  // the zeros before the first line
}

void CycleCollapser::push(std::string line, std::vector<std::string>& out) {
  uint32_t key = key_hash(line);
  if (block_.empty()) return push_plain(std::move(line), key, out);
  if (key == block_[partial_.size()]) {
    partial_.push_back(std::move(line));
    if (partial_.size() == block_.size()) {
      ++repeats_;
      partial_.clear();
    }
    return;
  }
  end_cycle(out);
  push(std::move(line), out);
}

void CycleCollapser::push_plain(std::string line, uint32_t key, std::vector<std::string>& out) {
  const size_t n = options_.max_period;
  if (history_.size() >= 16 * n)
    history_.erase(history_.begin(), history_.end() - static_cast<std::ptrdiff_t>(n));
  const uint32_t* past = history_.data() + (history_.size() - n);  // past[n - K] is K places back
  uint32_t seen = 0;
  if (in_window_[key % kWindowSlots] != 0) {
    for (size_t j = 0; j < n; ++j) {
      uint32_t same = past[j] == key ? 1 : 0;
      run_[j] = (run_[j] + 1) * same;
      seen |= same;
    }
    run_zero_ = seen == 0;
  } else if (!run_zero_) {
    std::fill(run_.begin(), run_.end(), 0);
    run_zero_ = true;
  }
  --in_window_[past[0] % kWindowSlots];
  ++in_window_[key % kWindowSlots];
  history_.push_back(key);
  waiting_.push_back(std::move(line));
  ++plain_;
  if (seen) {
    for (size_t period = 1; period <= n && period < plain_; ++period) {
      // Block and repeats must both be printed since the last count line.
      uint64_t repeated = std::min<uint64_t>(run_[n - period], plain_ - period);
      repeated = std::min<uint64_t>(repeated, waiting_.size());
      repeated -= repeated % period;
      if (repeated >= period && repeated >= options_.min_repeats) return start_cycle(period, repeated, out);
    }
  }
  if (waiting_.size() > n) {
    out.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void CycleCollapser::start_cycle(size_t period, size_t repeated, std::vector<std::string>& out) {
  block_.assign(history_.end() - static_cast<std::ptrdiff_t>(period), history_.end());
  repeats_ = repeated / period;
  waiting_.erase(waiting_.end() - static_cast<std::ptrdiff_t>(repeated), waiting_.end());
  for (std::string& line : waiting_) out.push_back(std::move(line));
  waiting_.clear();
}

void CycleCollapser::end_cycle(std::vector<std::string>& out) {
  const size_t period = block_.size();
  std::string lines = period == 1 ? "line" : std::to_string(period) + " lines";
  out.push_back("… (last " + lines + " repeated " + std::to_string(repeats_) +
                (repeats_ == 1 ? " more time)" : " more times)"));
  block_.clear();
  repeats_ = 0;
  plain_ = 0;
  forget_history();
  for (std::string& line : std::exchange(partial_, {})) push(std::move(line), out);
}

void CycleCollapser::finish(std::vector<std::string>& out) {
  while (!block_.empty()) end_cycle(out);
  for (std::string& line : waiting_) out.push_back(std::move(line));
  waiting_.clear();
}

}  // namespace ktstr
