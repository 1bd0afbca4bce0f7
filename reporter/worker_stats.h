// Worker reports folded per cgroup: what `--- stats ---` prints and what the workload checks look at. One
// record a cgroup, however many workers.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "schemas/event_generated.h"

namespace ktstr {

struct CgroupStats {
  std::string name;
  WorkType work = WorkType::CpuSpin;
  uint64_t workers = 0;
  std::set<unsigned> cpus;  // CPUs that its workers were seen on
  double run_min_pct = 0;   // share of the wall time on a CPU, least and most favoured worker
  double run_max_pct = 0;
  uint64_t gap_ns = 0;  // longest gap of any worker, and where
  uint64_t gap_at_ns = 0;
  int gap_cpu = -1;
  uint64_t gap_worker = 0;
  uint64_t migrations = 0;
  uint64_t iterations = 0;
  uint64_t wait_ns = 0;  // runnable, not running
  uint64_t wakeups = 0;
  uint64_t wake_p99_ns = 0;  // worst worker's
  uint64_t wake_max_ns = 0;
  uint64_t starved = 0;  // workers without one iteration
  uint64_t first_starved = 0;
  uint64_t killed = 0;  // did not end when asked
  uint64_t failed = 0;  // ended with a non-zero code

  // Percentage points between the most and the least favoured worker.
  double spread_pct() const { return run_max_pct - run_min_pct; }
};

class WorkerStats {
 public:
  void fold(const WorkerReport& report);
  const std::vector<CgroupStats>& cgroups() const { return cgroups_; }
  uint64_t reports() const { return reports_; }
  CgroupStats total() const;

  // A guest that reports ever new cgroups is lying: the rest is counted under one name.
  static constexpr size_t kMaxCgroups = 1024;

 private:
  std::vector<CgroupStats> cgroups_;  // in the order of their first report
  uint64_t reports_ = 0;
};

}  // namespace ktstr
