#include "reporter/html/sample_series.h"

#include <gtest/gtest.h>

#include "reporter/html/run_picture.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

// One sample: CPU `cpu` of `cpus` has `running` tasks, DSQ 7 holds `depth`, the counter has `count`.
EventBuffer sample(unsigned cpus, unsigned cpu, uint32_t running, uint32_t depth, int64_t count,
                   uint64_t guest_ns) {
  MonitorSampleT out;
  for (unsigned i = 0; i < cpus; ++i) {
    auto one = std::make_unique<CpuSampleT>();
    one->cpu = static_cast<uint16_t>(i);
    one->nr_running = i == cpu ? running : 0;
    out.cpus.push_back(std::move(one));
  }
  auto dsq = std::make_unique<DsqSampleT>();
  dsq->id = 7;
  dsq->depth = depth;
  out.dsqs.push_back(std::move(dsq));
  auto counter = std::make_unique<CounterT>();
  counter->name = "DISPATCH_KEEP_LAST";
  counter->value = count;
  out.counters.push_back(std::move(counter));
  return make_event({.run_id = "r", .source = "monitor", .vm = Vm::Primary, .guest_ns = guest_ns},
                    std::move(out));
}

TEST(SampleSeries, ALongRunKeepsItsPeaksInABoundedNumberOfSteps) {
  constexpr size_t kPoints = 100;
  constexpr uint64_t kPeriod = 100'000'000;
  SampleSeries series(kPoints);
  uint64_t samples = 0;
  for (uint64_t i = 0; i < 6000; ++i) {  // ten minutes
    const bool peak = i == 4321;
    const EventBuffer event =
        sample(4, 3, peak ? 99 : 1, peak ? 77 : 2, static_cast<int64_t>(10 * i), i * kPeriod);
    series.fold(*event.as<MonitorSample>(), static_cast<int64_t>(i * kPeriod));
    ASSERT_LE(series.steps().size(), kPoints);
  }
  uint16_t running = 0;
  uint32_t depth = 0;
  int64_t total = 0;
  for (const SampleSeries::Step& step : series.steps()) {
    samples += step.samples;
    if (step.samples == 0) continue;
    running = std::max(running, step.cpus[3].running);
    depth = std::max(depth, step.dsqs[0]);
    EXPECT_LE(total, step.counters[0]);
    total = step.counters[0];
  }
  EXPECT_EQ(6000u, samples);
  EXPECT_EQ(99, running);
  EXPECT_EQ(77u, depth);
  EXPECT_EQ(10 * 5999, total);
  EXPECT_GE(series.steps().size(), kPoints / 2);
  const auto peak_step = 4321 * static_cast<int64_t>(kPeriod) / series.width_ns();
  EXPECT_EQ(99, series.steps()[static_cast<size_t>(peak_step)].cpus[3].running);
}

TEST(SampleSeries, TimesThatLeapOrGoBackStayInBounds) {
  SampleSeries series(16);
  uint64_t samples = 0;
  for (int64_t at : {int64_t{5}, INT64_MAX, int64_t{0}, INT64_MAX - 1, int64_t{1'000'000'000}}) {
    const EventBuffer event = sample(2, 0, 1, 1, 1, 0);
    series.fold(*event.as<MonitorSample>(), at);
    ASSERT_LE(series.steps().size(), 16u);
  }
  for (const SampleSeries::Step& step : series.steps()) samples += step.samples;
  EXPECT_EQ(5u, samples);
}

TEST(SampleSeries, CpusDsqsAndCountersOfALyingGuestAreBounded) {
  SampleSeries series(4);
  MonitorSampleT lie;
  for (unsigned i : {0u, 65535u}) {
    lie.cpus.push_back(std::make_unique<CpuSampleT>());
    lie.cpus.back()->cpu = static_cast<uint16_t>(i);
  }
  for (uint64_t i = 0; i < 4 * SampleSeries::kMostDsqs; ++i) {
    lie.dsqs.push_back(std::make_unique<DsqSampleT>());
    lie.dsqs.back()->id = i;
    lie.counters.push_back(std::make_unique<CounterT>());
    lie.counters.back()->name = "c" + std::to_string(i);
  }
  const EventBuffer event = make_event({.run_id = "r", .source = "monitor"}, std::move(lie));
  series.fold(*event.as<MonitorSample>(), 1);
  EXPECT_EQ(1u, series.cpus());
  EXPECT_EQ(SampleSeries::kMostDsqs, series.dsqs().size());
  EXPECT_EQ(3 * SampleSeries::kMostDsqs, series.dsqs_left_out());
  EXPECT_EQ(SampleSeries::kMostCounters, series.counters().size());
}

TEST(GuestClock, AnEventWithoutGuestTimeIsPlacedAfterTheLastOneThatHadIt) {
  GuestClock clock;
  const auto at = [&](uint64_t host_ns, uint64_t guest_ns) {
    ConsoleLineT line;
    line.text = "x";
    return clock.at(
        make_event({.run_id = "r", .source = "s", .host_ns = host_ns, .guest_ns = guest_ns}, line));
  };
  EXPECT_EQ(1'000, at(50'000'000'000, 1'000));
  EXPECT_EQ(1'700, at(50'000'000'700, 0));
  EXPECT_EQ(3'000, at(50'000'001'000, 3'000));
  EXPECT_EQ(3'500, at(50'000'001'500, UINT64_MAX));  // not believed
  EXPECT_EQ(-49'999'999'000, clock.guest_of_host(0));
}

TEST(TimedLines, BothEndsOfALongLogAreKept) {
  TimedLines lines;
  for (int i = 0; i < 20'000; ++i) lines.push(i, "line " + std::to_string(i));
  EXPECT_EQ(TimedLines::kLines, lines.head().size());
  EXPECT_EQ(TimedLines::kLines, lines.tail().size());
  EXPECT_EQ("line 0", lines.head().front().text);
  EXPECT_EQ("line 19999", lines.tail().back().text);
  EXPECT_EQ(20'000u - 2 * TimedLines::kLines, lines.left_out());
  TimedLines wide;
  for (int i = 0; i < 2'000; ++i) wide.push(i, std::string(1 << 20, 'x'));
  size_t bytes = 0;
  for (const auto& line : wide.head()) bytes += line.text.size();
  for (const auto& line : wide.tail()) bytes += line.text.size();
  EXPECT_LE(bytes, 2 * TimedLines::kBytes);
}

}  // namespace
}  // namespace ktstr
