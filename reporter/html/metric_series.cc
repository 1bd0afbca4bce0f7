#include "reporter/html/metric_series.h"

namespace ktstr {

void MetricSeries::add(const std::string& source, const std::string& name, int64_t guest_ns, double value) {
  auto found = series_.find({source, name});
  if (found == series_.end()) {
    if (series_.size() >= kMostSeries) return;
    found = series_.emplace(std::pair(source, name), Series{}).first;
  }
  Series& s = found->second;
  if (s.seen++ % s.every != 0) return;
  if (s.points.size() >= kMostPoints) {
    size_t kept = 0;
    for (size_t i = 0; i < s.points.size(); i += 2) s.points[kept++] = s.points[i];
    s.points.resize(kept);
    s.every *= 2;
  }
  s.points.push_back({guest_ns, value});
}

}  // namespace ktstr
