// Latencies in bounded memory: 8 buckets for each power of two, so a percentile is at most 12.5 % too high;
// the maximum is exact. It is in memory that a worker shares with init: plain data, no pointers.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ktstr {

class LatencyHistogram {
 public:
  void add(uint64_t ns) {
    ++buckets_[index(ns)];
    ++count_;
    if (ns > max_) max_ = ns;
    const double delta = static_cast<double>(ns) - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (static_cast<double>(ns) - mean_);
  }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }

  double mean() const { return mean_; }
  double stddev() const { return count_ < 2 ? 0 : std::sqrt(squares_ / static_cast<double>(count_)); }

  // Smallest latency that `percent` of all do not exceed; 0 when there are none.
  uint64_t percentile(unsigned percent) const {
    if (count_ == 0) return 0;
    const uint64_t rank = (count_ * percent + 99) / 100;
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank && seen > 0) return upper(i) < max_ ? upper(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr size_t kSub = 8;
  static constexpr size_t kBuckets = 62 * kSub;

  static size_t index(uint64_t ns) {
    if (ns < kSub) return static_cast<size_t>(ns);
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 4;  // keeps the top four bits
    return (shift + 1) * kSub + static_cast<size_t>((ns >> shift) & (kSub - 1));
  }
  static uint64_t upper(size_t i) {  // largest value of the bucket
    if (i < kSub) return i;
    const unsigned shift = static_cast<unsigned>(i / kSub) - 1;
    return ((kSub + i % kSub + 1) << shift) - 1;
  }

  uint32_t buckets_[kBuckets] = {};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  double mean_ = 0, squares_ = 0;  // running mean, and sum of squared distances from it
};

}  // namespace ktstr
