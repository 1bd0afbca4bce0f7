#include "reporter/monitor_summary.h"

#include <gtest/gtest.h>

#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

MonitorThresholds all_on() {
  return {.imbalance = 4,
          .local_dsq = 50,
          .stuck = true,
          .fallback_rate = 200,
          .keep_last_rate = 100,
          .sustained = 5};
}

struct Feed {
  explicit Feed(const MonitorThresholds& thresholds = all_on()) { summary.set_thresholds(thresholds); }
  MonitorSummary summary;
  std::vector<VcpuThreadT> threads;
  std::vector<DsqSampleT> dsqs;
  bool in_workload = true;
  uint64_t ms = 1000;
  uint64_t guest_ms = 1000;

  struct Cpu {
    uint32_t running = 1;
    uint32_t dsq = 0;
    uint64_t clock_ms = 0;  // 0: the guest's time
    bool idle = false;
    uint32_t yields = 0;
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
      c->stats = std::make_unique<RunQueueStatsT>();
      c->stats->yields = cpus[i].yields;
      s.cpus.push_back(std::move(c));
    }
    for (auto& [name, value] : counters) {
      auto c = std::make_unique<CounterT>();
      c->name = name;
      c->value = value;
      s.counters.push_back(std::move(c));
    }
    for (const DsqSampleT& dsq : dsqs) s.dsqs.push_back(std::make_unique<DsqSampleT>(dsq));
    for (const VcpuThreadT& thread : threads) s.vcpus.push_back(std::make_unique<VcpuThreadT>(thread));
    EventBuffer event = make_event(EventHead{.run_id = "r", .source = "monitor"}, std::move(s));
    summary.fold(*event.as<MonitorSample>(), ms * 1'000'000, in_workload);
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
    host_away.guest_ms -= 100;  // the guest's clock does not advance either
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

TEST(MonitorSummary, OnlyTheWorkloadIsJudged) {
  Feed feed;
  feed.in_workload = false;
  for (int i = 0; i < 20; ++i) feed.sample({{9, 99}, {1}});
  EXPECT_EQ(feed.summary.ticks(), 0u);
  EXPECT_FALSE(feed.summary.any_sustained());
  EXPECT_EQ(feed.summary.load().samples, 20u);
}

TEST(MonitorSummary, EachThresholdCanBeSwitchedOff) {
  MonitorThresholds off = all_on();
  off.imbalance = 0;
  off.local_dsq = 0;
  Feed feed(off);
  for (int i = 0; i < 20; ++i) feed.sample({{9, 99}, {1}});
  EXPECT_FALSE(feed.summary.any_sustained());
  off = all_on();
  off.sustained = 0;
  Feed none(off);
  for (int i = 0; i < 20; ++i) none.sample({{9, 99}, {1}});
  EXPECT_FALSE(none.summary.any_sustained());
  EXPECT_FALSE(none.summary.thresholds().any());
}

TEST(MonitorSummary, KeepingTheOnlyTaskIsNoFault) {
  Feed alone, others_wait, yielding, three_alone;
  for (int i = 0; i < 8; ++i) {
    const auto yields = static_cast<uint32_t>(i * 495);
    yielding.sample({{1, 0, 0, false, yields}, {3}},
                    {{"DISPATCH_KEEP_LAST", i * 500}});  // 50 a second are not its own
    three_alone.sample({{1}, {1}, {1}, {3}},
                       {{"DISPATCH_KEEP_LAST", i * 15}});  // 150 a second: slices of 20 ms
    alone.sample({{1}, {1}}, {{"DISPATCH_KEEP_LAST", i * 500}});
    others_wait.sample({{1}, {3}}, {{"DISPATCH_KEEP_LAST", i * 500}});
  }
  EXPECT_FALSE(alone.summary.any_sustained());
  EXPECT_FALSE(yielding.summary.any_sustained());
  EXPECT_FALSE(three_alone.summary.any_sustained());
  EXPECT_TRUE(others_wait.summary.sustained(others_wait.summary.keep_last()));
}

// As sampled from a scheduler with one FIFO for all CPUs: six tasks, two run, four wait, five are counted on
// one CPU.
TEST(MonitorSummary, TasksInAQueueThatCpusShareAreNobodysLoad) {
  DsqSampleT queue;
  queue.id = 0x100;
  queue.depth = 4;
  Feed shared, own_queues, idle, local;
  shared.dsqs = local.dsqs = idle.dsqs = {queue};
  own_queues.dsqs = {queue, queue};  // one for each CPU
  for (int i = 0; i < 8; ++i) {
    shared.sample({{5}, {1}});
    own_queues.sample({{5}, {1}});
    idle.sample({{6}, {0, 0, 0, true}});
    local.sample({{10, 5}, {1}});
  }
  EXPECT_FALSE(shared.summary.any_sustained());
  EXPECT_DOUBLE_EQ(shared.summary.load().imbalance_max, 5);  // what is printed stays as the kernel counts
  EXPECT_TRUE(own_queues.summary.any_sustained());
  EXPECT_TRUE(idle.summary.any_sustained());   // nobody takes them
  EXPECT_TRUE(local.summary.any_sustained());  // 6 : 1 without those that are shared
  EXPECT_DOUBLE_EQ(local.summary.imbalance().worst, 6);
}

TEST(MonitorSummary, ACpuThatTheHostDidNotRunIsNotStuck) {
  Feed waited, ran, shared;
  for (uint64_t i = 0; i < 12; ++i) {
    const uint64_t tick = 100'000'000;
    VcpuThreadT zero, one;
    zero.tid = 7;
    zero.name = "CPU 0/KVM";
    one.tid = 8;
    one.name = "CPU 1/KVM";
    one.run_ns = zero.run_ns = i * tick;
    ran.threads = {zero, one};
    zero.run_ns = i * tick / 10;
    zero.wait_ns = i * tick * 9 / 10;
    waited.threads = {zero, one};
    zero.name = "ALL CPUs/TCG";  // one thread for two CPUs: a turn may take 100 ms, no more
    zero.run_ns = i * tick;
    zero.wait_ns = 0;
    shared.threads = {zero};
    for (Feed* feed : {&waited, &ran, &shared}) feed->sample({{2, 0, 777}, {1}});
  }
  EXPECT_FALSE(waited.summary.any_sustained());
  EXPECT_TRUE(ran.summary.sustained(ran.summary.stuck()));
  EXPECT_TRUE(shared.summary.sustained(shared.summary.stuck()));
  EXPECT_LT(shared.summary.stuck().longest, ran.summary.stuck().longest);
}

// The newest clock is then the stuck CPU's own, or an idle one's: neither advances.
TEST(MonitorSummary, TheOnlyBusyCpuMayBeStuck) {
  Feed ran, not_run, others_idle;
  for (uint64_t i = 0; i < 8; ++i) {
    VcpuThreadT thread;
    thread.tid = 7;
    thread.name = "CPU 0/KVM";
    thread.run_ns = i * 90'000'000;
    ran.threads = others_idle.threads = {thread};
    thread.run_ns = i * 10'000'000;
    not_run.threads = {thread};
    ran.sample({{2, 0, 777}});
    others_idle.sample({{2, 0, 777}, {0, 0, 770, true}});
    not_run.sample({{2, 0, 777}});
    for (Feed* feed : {&ran, &not_run, &others_idle}) feed->guest_ms -= 100;
  }
  EXPECT_TRUE(ran.summary.sustained(ran.summary.stuck()));
  EXPECT_EQ(ran.summary.stuck_cpu(), 0);
  EXPECT_EQ(ran.summary.exempt_ticks(), 0u);
  EXPECT_TRUE(others_idle.summary.sustained(others_idle.summary.stuck()));
  EXPECT_FALSE(not_run.summary.any_sustained());
  EXPECT_EQ(not_run.summary.exempt_ticks(), 7u);
}

TEST(MonitorSummary, AGuestThatWasNotRunSaysNothing) {
  Feed feed;
  for (int i = 0; i < 20; ++i) {
    feed.sample({{9}, {1}});
    feed.guest_ms -= 95;
  }
  EXPECT_FALSE(feed.summary.any_sustained());
  EXPECT_EQ(feed.summary.ticks(), 0u);
  EXPECT_EQ(feed.summary.exempt_ticks(), 19u);
}

TEST(MonitorSummary, MemoryThatMakesNoSenseIsNotJudged) {
  Feed feed;
  for (int i = 0; i < 20; ++i) feed.sample({{0xdeadbeef}, {1}});
  EXPECT_FALSE(feed.summary.any_sustained());
  EXPECT_EQ(feed.summary.senseless_samples(), 20u);
  EXPECT_EQ(feed.summary.load().samples, 0u);
}

// A run-queue counter that is added to the schema needs no edit in the reporter.
TEST(MonitorSummary, EveryRunQueueCounterOfTheSchemaIsSummedOverTheCpus) {
  MonitorSampleT sample;
  sample.full = sample.scx_enabled = true;
  for (uint32_t cpu = 0; cpu < 2; ++cpu) {
    auto c = std::make_unique<CpuSampleT>();
    c->stats = std::make_unique<RunQueueStatsT>();
    c->stats->switches = 10 + cpu;
    c->stats->wait_ns = (1ull << 40) + cpu;
    sample.cpus.push_back(std::move(c));
  }
  MonitorSummary summary;
  const EventBuffer event = make_event(EventHead{.run_id = "r", .source = "monitor"}, std::move(sample));
  summary.fold(*event.as<MonitorSample>(), 1);
  const flatbuffers::TypeTable& type = *RunQueueStats::MiniReflectTypeTable();
  EXPECT_EQ(summary.schedstats().size(), type.num_elems);
  for (size_t i = 0; i < type.num_elems; ++i)
    EXPECT_TRUE(summary.schedstats().contains(type.names[i])) << type.names[i];
  EXPECT_EQ(summary.schedstats().at("switches").last, 21);
  EXPECT_EQ(summary.schedstats().at("wait_ns").last, (1ll << 41) + 1);
}

}  // namespace
}  // namespace ktstr
