// What the monitor read of one VM from outside, and what it wrote into it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reporter/clock_rate.h"
#include "reporter/monitor_summary.h"
#include "reporter/stall_watch.h"
#include "reporter/timeline.h"
#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct MonitorRecord {
  // `in_workload`: the workload runs and the scheduler is enabled. The load of a sample that counts, else nothing.
  std::optional<MonitorSummary::Load> fold(const EventBuffer& event, bool in_workload);

  bool attached = false;
  std::vector<std::string> absent;  // kernel facts that this kernel does not have
  std::string unavailable;          // why there is no monitor; empty: there is
  std::optional<MonitorStoppedT> stopped;
  MonitorSummary summary;
  StallWatch waits;
  ClockRate clock;
  std::optional<GuestFrozenT> early;  // while a task waited, before any exit: the longest wait
  // `early`, if it was taken while a task waited that still waited at the scheduler's end, or if no end was seen; else null: the
  // scheduler's process and queues may have been others since.
  const GuestFrozenT* early_of_end() const;
  std::vector<GuestFrozenT> observed;   // as asked for (replay --at), in order
  std::optional<GuestFrozenT> frozen;   // at the scheduler's end: the last one
  std::vector<MapWrittenT> map_writes;  // bounded
  std::optional<WatchdogSetT> watchdog;

 private:
  Moment early_at_, frozen_at_;
};

}  // namespace ktstr
