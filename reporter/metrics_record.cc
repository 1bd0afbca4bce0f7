#include "reporter/metrics_record.h"

#include <algorithm>

namespace ktstr {

namespace {

constexpr size_t kMaxSourceName = 64, kMaxMetricsLine = 4096;

}  // namespace

void MetricSources::declare(std::string_view source) {
  if (declared_.size() < kMaxSources) declared_.emplace(source.substr(0, kMaxSourceName));
}

std::vector<Metric> MetricSources::of(std::string_view source, std::string_view text) const {
  if (!declared_.contains(source)) return {};
  return metrics_of(text.substr(0, kMaxMetricsLine));
}

bool MetricsRecord::line(const Moment& at, std::string_view source, std::string_view shown_source,
                         std::string_view text) {
  const std::vector<Metric> metrics = sources_.of(source, text);
  for (const Metric& metric : metrics) {
    const std::string name = std::string(shown_source) + " " + metric.name;
    auto found = series_.find(name);
    if (found == series_.end() && series_.size() >= kMaxSeries) {
      ++left_out_;
      continue;
    }
    Series& s = series_[name];
    if (s.values++ == 0) {
      s.first = s.least = s.most = metric.value;
      s.most_at = at;
    }
    if (metric.value > s.most) {
      s.most = metric.value;
      s.most_at = at;
    }
    s.least = std::min(s.least, metric.value);
    s.sum += metric.value;
    s.last = metric.value;
  }
  return !metrics.empty();
}

}  // namespace ktstr
