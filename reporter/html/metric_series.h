// The numbers of collectors over guest time, for the charts of a page. Bounded, whatever they send: of a series that is too long
// every second point goes, and from then on fewer are taken.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ktstr {

class MetricSeries {
 public:
  static constexpr size_t kMostSeries = 96, kMostPoints = 4096;

  struct Point {
    int64_t guest_ns;
    double value;
  };
  struct Series {
    std::vector<Point> points;  // in the order in which they came
    uint64_t seen = 0;          // values
    uint64_t every = 1;         // one of this many values is taken
  };
  void add(const std::string& source, const std::string& name, int64_t guest_ns, double value);

  // By source and name.
  const std::map<std::pair<std::string, std::string>, Series>& series() const { return series_; }

 private:
  std::map<std::pair<std::string, std::string>, Series> series_;
};

}  // namespace ktstr
