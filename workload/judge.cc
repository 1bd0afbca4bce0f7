#include "workload/judge.h"

#include <algorithm>

#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// Below, one time slice more or less is points of spread: that tells nothing of the scheduler.
constexpr uint64_t kLeastForSpreadNs = 900'000'000;

struct LimitInfo {
  std::string_view attribute, unit;
};
// In the order of Limit.
constexpr LimitInfo kLimits[] = {
    {"not_starved", ""},         {"not_starved", ""},
    {"not_starved", ""},         {"", ""},
    {"max_gap_ms", "ms"},        {"max_spread_pct", "points"},
    {"isolation", ""},           {"max_throughput_cv", ""},
    {"min_work_rate", "/s"},     {"min_iteration_rate", "/s"},
    {"max_migration_ratio", ""}, {"max_p99_wake_latency_ns", "ns"},
    {"max_wake_latency_cv", ""},
};
static_assert(std::size(kLimits) == static_cast<size_t>(Limit::kWakeVariation) + 1);

class Judge {
 public:
  explicit Judge(const Limits& limits) : limits_(limits) {}

  void group(const CgroupStats& c) {
    group_ = &c;
    progress(c);
    if (c.counts_iterations()) rates(c);
  }

  void all(std::span<const CgroupStats> groups) {
    for (const CgroupStats& c : groups) group(c);
    counted(groups);
    wakes(groups);
  }

  std::vector<Finding> findings;

 private:
  void say(Limit limit, Held held, double observed = 0, double threshold = 0,
           std::optional<uint64_t> worker = {}, uint64_t count = 0) {
    findings.push_back({limit, held, group_, observed, threshold, worker, count});
  }
  void unknown(Limit limit, uint64_t count = 0) { say(limit, Held::kUnknown, 0, 0, {}, count); }
  // `count` workers did what none may.
  void none(Limit limit, uint64_t count, std::optional<uint64_t> first = {}) {
    say(limit, count == 0 ? Held::kHolds : Held::kViolated, static_cast<double>(count), 0,
        count == 0 ? std::nullopt : first, count);
  }
  void most(Limit limit, double observed, double threshold, std::optional<uint64_t> worker,
            double scale = 1) {
    say(limit, observed > threshold * scale ? Held::kViolated : Held::kHolds, observed, threshold, worker);
  }
  void least(Limit limit, const Worst& worst, double threshold) {
    say(limit, worst.value < threshold ? Held::kViolated : Held::kHolds, worst.value, threshold,
        worst.worker);
  }

  void progress(const CgroupStats& c) {
    if (limits_.not_starved) {
      none(Limit::kNotStarved, c.starved, c.first_starved);
      none(Limit::kStuck, c.stuck);
      none(Limit::kRefused, c.refused, c.first_refused);
    }
    if (limits_.exit) none(Limit::kExit, c.failed);
    if (limits_.max_gap_ms > 0)
      most(Limit::kGap, static_cast<double>(c.gap_ns) / 1e6, limits_.max_gap_ms, c.gap_worker,
           limits_.time_scale);
    if (limits_.max_spread_pct > 0) {
      if (c.shortest_ns < kLeastForSpreadNs)
        say(Limit::kSpread, Held::kTooShort);
      else
        most(Limit::kSpread, c.spread_pct(), limits_.max_spread_pct, {});
    }
    if (limits_.isolation) none(Limit::kIsolation, c.outside, c.first_outside);
  }

  void rates(const CgroupStats& c) {
    const bool throughput = limits_.max_throughput_cv > 0, work_rate = limits_.min_work_rate > 0;
    if ((throughput || work_rate) && c.no_cpu_time > 0)
      unknown(work_rate ? Limit::kWorkRate : Limit::kThroughput, c.no_cpu_time);
    if (throughput && c.rates > 0) most(Limit::kThroughput, c.throughput_cv(), limits_.max_throughput_cv, {});
    if (work_rate && c.work_rate.any) least(Limit::kWorkRate, c.work_rate, limits_.min_work_rate);
    if (limits_.min_iteration_rate > 0) {
      if (c.no_wall > 0) unknown(Limit::kIterationRate, c.no_wall);
      if (c.iteration_rate.any) least(Limit::kIterationRate, c.iteration_rate, limits_.min_iteration_rate);
    }
    if (limits_.max_migration_ratio > 0) {
      if (c.migration_ratio.any)
        most(Limit::kMigrations, c.migration_ratio.value, limits_.max_migration_ratio,
             c.migration_ratio.worker);
      else
        unknown(Limit::kMigrations, c.workers);
    }
  }

  // A group of programs that count no iterations is passed over; a limit that was held against no group at all is not
  // answered.
  void counted(std::span<const CgroupStats> groups) {
    group_ = nullptr;
    if (std::any_of(groups.begin(), groups.end(), [](const auto& c) { return c.counts_iterations(); }))
      return;
    if (limits_.max_throughput_cv > 0) unknown(Limit::kThroughput);
    if (limits_.min_work_rate > 0) unknown(Limit::kWorkRate);
    if (limits_.min_iteration_rate > 0) unknown(Limit::kIterationRate);
    if (limits_.max_migration_ratio > 0) unknown(Limit::kMigrations);
  }

  // A group whose work never sleeps has no wake-ups to measure; where nobody was woken there is no answer.
  void wakes(std::span<const CgroupStats> groups) {
    const bool p99 = limits_.max_p99_wake_latency_ns > 0, variation = limits_.max_wake_latency_cv > 0;
    bool any = false;
    for (const CgroupStats& c : groups) {
      group_ = &c;
      any = any || c.wake_p99.any;
      if (p99 && c.wake_p99.any)
        most(Limit::kWakeP99, c.wake_p99.value, limits_.max_p99_wake_latency_ns, c.wake_p99.worker);
      if (variation && c.wake_cv.any)
        most(Limit::kWakeVariation, c.wake_cv.value, limits_.max_wake_latency_cv, c.wake_cv.worker);
    }
    group_ = nullptr;
    if ((p99 || variation) && !any) unknown(p99 ? Limit::kWakeP99 : Limit::kWakeVariation);
  }

  const Limits& limits_;
  const CgroupStats* group_ = nullptr;
};

}  // namespace

std::string_view attribute_of(Limit limit) { return kLimits[static_cast<size_t>(limit)].attribute; }
std::string_view unit_of(Limit limit) { return kLimits[static_cast<size_t>(limit)].unit; }

Limits limits_of(const TestSpecT& spec, double time_scale) {
  return {.not_starved = spec.not_starved,
          .exit = true,
          .isolation = spec.isolation,
          .max_gap_ms = static_cast<double>(spec.max_gap_ns) / 1e6,
          .max_spread_pct = static_cast<double>(spec.max_spread_pct),
          .max_throughput_cv = static_cast<double>(spec.max_throughput_cv),
          .min_work_rate = static_cast<double>(spec.min_work_rate),
          .min_iteration_rate = static_cast<double>(spec.min_iteration_rate),
          .max_migration_ratio = static_cast<double>(spec.max_migration_ratio),
          .max_p99_wake_latency_ns = static_cast<double>(spec.max_p99_wake_latency_ns),
          .max_wake_latency_cv = static_cast<double>(spec.max_wake_latency_cv),
          .time_scale = std::max(1.0, time_scale)};
}

std::vector<Finding> judge_workers(std::span<const CgroupStats> groups, const Limits& limits) {
  Judge judge(limits);
  judge.all(groups);
  return std::move(judge.findings);
}

}  // namespace ktstr
