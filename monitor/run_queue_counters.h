// The counters of struct rq that a sample carries: one row each. A new counter takes a field in RunQueueStats
// (schemas/monitor.fbs) and its row here; the reporter sums and prints the fields of RunQueueStats by their names.
#pragma once

#include <array>
#include <cstdint>

#include "schemas/monitor_generated.h"

namespace ktstr {

struct RunQueueCounter {
  const char* place;  // from struct rq (kernel/sched/sched.h); kept with CONFIG_SCHEDSTATS
  uint32_t RunQueueStatsT::* narrow = nullptr;  // the field of the sample: exactly one of the two
  uint64_t RunQueueStatsT::* wide = nullptr;

  constexpr RunQueueCounter(const char* p, uint32_t RunQueueStatsT::* field) : place(p), narrow(field) {}
  constexpr RunQueueCounter(const char* p, uint64_t RunQueueStatsT::* field) : place(p), wide(field) {}

  void set(RunQueueStatsT& stats, uint64_t value) const {
    if (narrow)
      stats.*narrow = static_cast<uint32_t>(value);
    else
      stats.*wide = value;
  }
  uint64_t get(const RunQueueStatsT& stats) const { return narrow ? stats.*narrow : stats.*wide; }
};

// The first says whether the kernel keeps any.
inline constexpr std::array kRunQueueCounters = {
    RunQueueCounter("sched_count", &RunQueueStatsT::switches),
    RunQueueCounter("yld_count", &RunQueueStatsT::yields),
    RunQueueCounter("sched_goidle", &RunQueueStatsT::idle_switches),
    RunQueueCounter("ttwu_count", &RunQueueStatsT::wakeups),
    RunQueueCounter("ttwu_local", &RunQueueStatsT::local_wakeups),
    RunQueueCounter("rq_cpu_time", &RunQueueStatsT::run_ns),
    RunQueueCounter("rq_sched_info.run_delay", &RunQueueStatsT::wait_ns),
    RunQueueCounter("rq_sched_info.pcount", &RunQueueStatsT::slices),
};

}  // namespace ktstr
