// The one judge of workers: reports against limits, findings as data. A test's declared checks (reporter/checks.cc) and an
// Assert of a test's body (sdk/assertions.cc) call it, each with its own words for what it finds.
//
// What could not be measured is kUnknown, which is never a pass: no CPU time on record, nobody woken, no worker that
// counts iterations.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "workload/worker_stats.h"

namespace ktstr {

struct TestSpecT;

enum class Limit {
  kNotStarved,
  kStuck,    // part of not_starved: did not end when asked
  kRefused,  // part of not_starved: could not do part of its work (fork, open, set its affinity)
  kExit,     // ended with an error
  kGap,
  kSpread,
  kIsolation,
  kThroughput,
  kWorkRate,
  kIterationRate,
  kMigrations,
  kWakeP99,
  kWakeVariation,
};
// The attribute that sets it ("max_gap_ms"), and the unit of its values ("ms"). kExit has none.
std::string_view attribute_of(Limit limit);
std::string_view unit_of(Limit limit);

// 0 and false: not checked. Each is in its attribute's unit.
struct Limits {
  bool not_starved = false;
  bool exit = false;
  bool isolation = false;
  double max_gap_ms = 0;
  double max_spread_pct = 0;
  double max_throughput_cv = 0;
  double min_work_rate = 0;
  double min_iteration_rate = 0;
  double max_migration_ratio = 0;
  double max_p99_wake_latency_ns = 0;
  double max_wake_latency_cv = 0;
  // How much slower this machine is than a usual one: a slow host keeps guest CPUs waiting, so a gap is measured against
  // what deadlines are measured against. 1 at least.
  double time_scale = 1;
};
// What a spec declares, and that workers end without an error, which every test wants.
Limits limits_of(const TestSpecT& spec, double time_scale);

enum class Held {
  kHolds,
  kViolated,
  kUnknown,
  kTooShort,  // kSpread: the workload was too short to tell anything of fairness; no fault
};

struct Finding {
  Limit limit;
  Held held;
  const CgroupStats* group = nullptr;  // null: all of them
  double observed = 0, threshold = 0;  // in the limit's unit, before the time scale
  std::optional<uint64_t> worker;      // the worst, or the first that violates it
  uint64_t count = 0;                  // workers that violate it, or that were not measured
};

// In the order of the groups, then of Limit; wake-ups, which are a question to all groups, last.
std::vector<Finding> judge_workers(std::span<const CgroupStats> groups, const Limits& limits);

}  // namespace ktstr
