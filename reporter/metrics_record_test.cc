#include "reporter/metrics_record.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

Moment at(uint64_t ns) {
  Moment moment;
  moment.host_ns = ns;
  return moment;
}

TEST(MetricsRecord, OnlyDeclaredSourcesBecomeSeries) {
  MetricsRecord record;
  EXPECT_FALSE(record.line(at(1), "vmstat", "vmstat", "us=3"));
  record.declare("vmstat");
  EXPECT_TRUE(record.line(at(1), "vmstat", "vmstat", "us=3 sy=1"));
  EXPECT_TRUE(record.line(at(2), "vmstat", "vmstat", "us=9 sy=1"));
  EXPECT_TRUE(record.line(at(3), "vmstat", "vmstat", "us=6"));
  EXPECT_FALSE(record.line(at(4), "vmstat", "vmstat", "a line for people"));
  const auto& us = record.series().at("vmstat us");
  EXPECT_EQ(us.values, 3u);
  EXPECT_EQ(us.first, 3);
  EXPECT_EQ(us.least, 3);
  EXPECT_EQ(us.most, 9);
  EXPECT_EQ(us.most_at.host_ns, 2u);
  EXPECT_EQ(us.last, 6);
  EXPECT_EQ(us.sum, 18);
  EXPECT_EQ(record.series().at("vmstat sy").values, 2u);
}

TEST(MetricsRecord, IsBoundedWhateverItIsSent) {
  MetricsRecord record;
  for (int i = 0; i < 1000; ++i) record.declare("source" + std::to_string(i));
  for (int i = 0; i < 1000; ++i) record.line(at(1), "source1", "source1", "m" + std::to_string(i) + "=1");
  EXPECT_EQ(record.series().size(), MetricsRecord::kMaxSeries);
  EXPECT_EQ(record.left_out(), 1000 - MetricsRecord::kMaxSeries);
  EXPECT_FALSE(record.line(at(1), "source999", "source999", "m=1"));
}

}  // namespace
}  // namespace ktstr
