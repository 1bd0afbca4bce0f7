#include "reporter/html/metric_series.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "reporter/html/page_data.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/client_generated.h"

namespace ktstr::testing {
namespace {

TEST(MetricSeries, ALongSeriesIsThinnedAndStillCoversItsWholeTime) {
  MetricSeries metrics;
  constexpr int64_t kMany = 100'000;
  for (int64_t i = 0; i < kMany; ++i) metrics.add("vmstat", "us", i, static_cast<double>(i));
  const MetricSeries::Series& s = metrics.series().at({"vmstat", "us"});
  EXPECT_LE(s.points.size(), MetricSeries::kMostPoints);
  EXPECT_GE(s.points.size(), MetricSeries::kMostPoints / 2);
  EXPECT_EQ(s.points.front().guest_ns, 0);
  EXPECT_GE(s.points.back().guest_ns, kMany - 2 * static_cast<int64_t>(s.every));
  EXPECT_EQ(s.seen, static_cast<uint64_t>(kMany));
}

TEST(MetricSeries, OfTooManyNamesTheFirstStay) {
  MetricSeries metrics;
  for (int i = 0; i < 1000; ++i) metrics.add("s", "n" + std::to_string(i), 1, 1);
  EXPECT_EQ(metrics.series().size(), MetricSeries::kMostSeries);
  EXPECT_TRUE(metrics.series().contains({"s", "n0"}));
}

TEST(MetricSeries, ThePageHasAChartForTheNumbersThatEndAlike) {
  SyntheticRun run = SyntheticRun::demo_crash();
  MetricsDeclaredT declared;
  declared.name = "schedstat";
  run.add(std::move(declared), Vm::Host);
  RunModel model;
  RunPicture picture(512);
  auto say = [&](const char* source, const char* text) {
    CollectorLineT line;
    line.name = source;
    line.text = text;
    run.add(std::move(line));
  };
  say("schedstat", "cpu0.run=1.5ms cpu1.run=2ms cpu0.slices=7");
  say("other", "cpu0.run=9");
  run.monitor_samples(2);
  run.add(FactsCompletedT{}, Vm::Host);
  JudgedRun judged;
  Report report;
  for (const EventBuffer& event : run.events()) {
    picture.fold(event);
    if (model.fold(event)) break;
  }
  model.finish();
  judged.model = &model;
  judged.report = &report;
  const Json charts = parse_json(page_data(judged, picture, false))["series"]["metrics"];
  ASSERT_EQ(charts.size(), 2u) << charts.dump();
  EXPECT_EQ(charts[0]["title"], "schedstat: run");
  ASSERT_EQ(charts[0]["lines"].size(), 2u);
  EXPECT_EQ(charts[0]["lines"][0]["name"], "cpu0");
  size_t told = 0;
  for (const Json& value : charts[0]["lines"][0]["values"]) told += value == 1.5;
  EXPECT_EQ(told, 1u) << charts.dump();
  EXPECT_EQ(charts[1]["title"], "schedstat: slices");
}

}  // namespace
}  // namespace ktstr::testing
