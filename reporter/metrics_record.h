// The numbers of collectors that declared them (MetricsDeclared): a series for each name, bounded whatever they send.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "reporter/timeline.h"

namespace ktstr {

// Whose lines hold numbers. Bounded.
class MetricSources {
 public:
  static constexpr size_t kMaxSources = 64;

  // `source`: as MetricsDeclared.name.
  void declare(std::string_view source);
  // Of a line of this source. Empty: it did not declare numbers, or there are none in it.
  std::vector<Metric> of(std::string_view source, std::string_view text) const;

 private:
  std::set<std::string, std::less<>> declared_;
};

class MetricsRecord {
 public:
  struct Series {
    uint64_t values = 0;
    double first = 0, last = 0, least = 0, most = 0, sum = 0;
    Moment most_at;  // the first time
  };
  static constexpr size_t kMaxSeries = 256;

  void declare(std::string_view source) { sources_.declare(source); }
  // True: the line is numbers of a collector that declared them.
  bool line(const Moment& at, std::string_view source, std::string_view shown_source, std::string_view text);

  // "SOURCE NAME", in the order of names.
  const std::map<std::string, Series>& series() const { return series_; }
  uint64_t left_out() const { return left_out_; }  // values of names beyond kMaxSeries

 private:
  MetricSources sources_;
  std::map<std::string, Series> series_;
  uint64_t left_out_ = 0;
};

}  // namespace ktstr
