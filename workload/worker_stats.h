// Worker reports folded per cgroup and work: what the judge (judge.h) and the report's `--- stats ---` look at. One record
// each, however many workers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schemas/common_generated.h"

namespace ktstr {

struct TestSpecT;
struct WorkerReportT;

// The worst worker by one measure.
struct Worst {
  bool any = false;
  double value = 0;
  uint64_t worker = 0;
  void largest(double v, uint64_t w) {
    if (!any || v > value) *this = {true, v, w};
  }
  void smallest(double v, uint64_t w) {
    if (!any || v < value) *this = {true, v, w};
  }
};

struct CgroupStats {
  std::string name;
  WorkType work = WorkType::CpuSpin;
  uint64_t workers = 0;
  std::set<unsigned> cpus;   // CPUs that its workers were seen on
  uint64_t shortest_ns = 0;  // wall time of the worker that was there for the shortest time
  // Share of the wall time on a CPU: of the least and of the most favoured worker. Without messengers.
  bool any_run = false;
  double run_min_pct = 0;
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
  uint64_t starved = 0;  // made no progress: no iteration, or no CPU time where the work is Custom
  uint64_t first_starved = 0;
  uint64_t killed = 0;  // did not end when asked
  uint64_t stuck = 0;  // those of `killed` that are no programs of the user's: a program may have its reasons
  uint64_t failed = 0;  // ended with a non-zero code
  // Operation and errno of what its workers could not do -> how often.
  std::map<std::pair<std::string, int>, uint64_t> errors;
  uint64_t refused = 0;  // workers with such errors
  uint64_t first_refused = 0;

  Worst wake_p99, wake_cv;                // of workers that were woken
  Worst work_rate;                        // least iterations per second of CPU time
  Worst iteration_rate;                   // least iterations per second of wall time
  Worst migration_ratio;                  // most migrations per iteration
  uint64_t no_cpu_time = 0, no_wall = 0;  // workers whose rates cannot be told
  uint64_t outside = 0;                   // workers seen on a CPU that their cgroup did not allow
  uint64_t first_outside = 0;
  std::set<unsigned> outside_cpus;
  std::string cpuset;  // of that worker, at the end
  // Iterations per CPU second over the workers. Without messengers.
  uint64_t rates = 0;
  double rate_mean = 0, rate_squares = 0;

  void add(const WorkerReportT& report, bool messenger);

  // "fork failed 812 times with ENOMEM (Cannot allocate memory)", the most frequent first; "" without errors.
  std::string refusals() const;

  // Percentage points between the most and the least favoured worker.
  double spread_pct() const { return run_max_pct - run_min_pct; }
  // Coefficient of variation of the workers' throughput; REQUIRES: rates >= 1.
  double throughput_cv() const;
  // A program of the user's counts no iterations, and a function of a body need not.
  bool counts_iterations() const { return work != WorkType::Custom || iterations > 0; }

 private:
  void add_rates(const WorkerReportT& report, bool messenger);
};

class WorkerStats {
 public:
  // Of the run's spec. Tells the messengers in a log that is older than WorkerReport.messenger.
  void expect(const TestSpecT& spec);
  void fold(const WorkerReportT& report);
  const std::vector<CgroupStats>& cgroups() const { return cgroups_; }
  uint64_t reports() const { return reports_; }
  CgroupStats total() const;

  // A guest that reports ever new cgroups is lying: the rest is counted under one name.
  static constexpr size_t kMaxCgroups = 1024;

 private:
  struct FanOut {
    std::string cgroup;
    uint32_t step;
    uint32_t size;
    WorkType work;
    std::optional<uint32_t> first;  // index of its first worker: others of the cgroup may be before it
  };
  bool messenger_by_place(const WorkerReportT& report);

  std::vector<CgroupStats> cgroups_;  // in the order of their first report
  std::vector<FanOut> fan_outs_;
  uint64_t reports_ = 0;
};

}  // namespace ktstr
