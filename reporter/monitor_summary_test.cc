#include "reporter/monitor_summary.h"

#include <gtest/gtest.h>

#include "schemas/envelope.h"

namespace ktstr {
namespace {

struct Feed {
  MonitorSummary summary;
  uint64_t ms = 1000;
  uint64_t guest_ms = 1000;

  struct Cpu {
    uint32_t running = 1;
    uint32_t dsq = 0;
    uint64_t clock_ms = 0;  // 0: the guest's time
    bool idle = false;
  };
  void sample(const std::vector<Cpu>& cpus, std::vector<std::pair<std::string, int64_t>> counters = {},
              bool enabled = true) {
    MonitorSampleT s;
    s.scx_enabled = enabled;
    s.guest_clock_ns = guest_ms * 1'000'000;
    for (size_t i = 0; i < cpus.size(); ++i) {
      auto c = std::make_unique<CpuSampleT>();
      c->cpu = static_cast<uint16_t>(i);
      c->nr_running = cpus[i].running;
      c->local_dsq_depth = cpus[i].dsq;
      c->rq_clock = (cpus[i].clock_ms ? cpus[i].clock_ms : guest_ms) * 1'000'000;
      c->idle = cpus[i].idle;
      s.cpus.push_back(std::move(c));
    }
    for (auto& [name, value] : counters) {
      auto c = std::make_unique<CounterT>();
      c->name = name;
      c->value = value;
      s.counters.push_back(std::move(c));
    }
    EventBuffer event = make_event(EventHead{.run_id = "r", .source = "monitor"}, std::move(s));
    summary.fold(*event.as<MonitorSample>(), ms * 1'000'000);
    ms += 100;
    guest_ms += 100;
  }
};

TEST(MonitorSummary, AveragesAndMaximaUnderTheSchedulerOnly) {
  Feed feed;
  feed.sample({{9, 60}, {1, 0}}, {}, false);
  feed.sample({{4, 3}, {1, 0}});
  feed.sample({{2, 1}, {2, 1}});
  EXPECT_EQ(3u, feed.summary.samples());
  EXPECT_EQ(2u, feed.summary.load().samples);
  EXPECT_DOUBLE_EQ(4.0, feed.summary.load().imbalance_max);
  EXPECT_DOUBLE_EQ(2.5, feed.summary.load().mean(feed.summary.load().imbalance_sum));
  EXPECT_EQ(3u, feed.summary.load().dsq_max);
}

TEST(MonitorSummary, ImbalanceMustLastFiveTicks) {
  Feed brief, lasting;
  for (int i = 0; i < 20; ++i) brief.sample({{i % 5 < 4 ? 9u : 1u}, {1}});
  for (int i = 0; i < 6; ++i) lasting.sample({{9}, {1}});
  EXPECT_FALSE(brief.summary.any_sustained());
  EXPECT_TRUE(lasting.summary.sustained(lasting.summary.imbalance()));
}

TEST(MonitorSummary, AFastSamplerDoesNotShortenTheSpan) {
  Feed feed;
  for (int i = 0; i < 50; ++i) {
    feed.sample({{9}, {1}});
    feed.ms -= 99;  // 1 kHz: 50 ms in all
  }
  EXPECT_FALSE(feed.summary.any_sustained());
}

TEST(MonitorSummary, StuckMeansBusyAndTheGuestRuns) {
  Feed stuck, idle, host_away;
  for (int i = 0; i < 8; ++i) {
    stuck.sample({{2, 0, 777}, {1}});
    idle.sample({{0, 0, 777, true}, {1}});
    host_away.sample({{2, 0, 777}, {1, 0, 777}});
    host_away.guest_ms -= 100;  // the guest's clock stands as well
  }
  EXPECT_TRUE(stuck.summary.sustained(stuck.summary.stuck()));
  EXPECT_EQ(0, stuck.summary.stuck_cpu());
  EXPECT_FALSE(idle.summary.any_sustained());
  EXPECT_FALSE(host_away.summary.any_sustained());
}

TEST(MonitorSummary, CountersSurviveASecondScheduler) {
  Feed feed;
  feed.sample({{1}}, {{"SELECT_CPU_FALLBACK", 10}});
  feed.sample({{1}}, {{"SELECT_CPU_FALLBACK", 30}});
  feed.sample({{1}}, {{"SELECT_CPU_FALLBACK", 5}});  // counts from 0 again
  EXPECT_EQ(25, feed.summary.counters().at("SELECT_CPU_FALLBACK").delta());
}

TEST(MonitorSummary, FallbackRate) {
  Feed feed;
  for (int i = 0; i < 8; ++i)
    feed.sample({{1}}, {{"SELECT_CPU_FALLBACK", i * 25}, {"DISPATCH_KEEP_LAST", i * 5}});
  EXPECT_TRUE(feed.summary.sustained(feed.summary.fallback()));    // 250/s
  EXPECT_FALSE(feed.summary.sustained(feed.summary.keep_last()));  // 50/s
}

}  // namespace
}  // namespace ktstr
