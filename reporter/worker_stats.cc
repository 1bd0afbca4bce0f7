#include "reporter/worker_stats.h"

#include <algorithm>
#include <cmath>

#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

double CgroupStats::throughput_cv() const {
  return rate_mean > 0 ? std::sqrt(rate_squares / static_cast<double>(rates)) / rate_mean : 0;
}

void WorkerStats::expect(const TestSpecT& spec) {
  auto add = [&](const CgroupSpecT& group, uint32_t step) {
    if (group.work == WorkType::FutexFanOut || group.work == WorkType::FanOutCompute)
      fan_outs_.push_back({group.name, step, group.fan_out + 1, group.work, {}});
  };
  for (const auto& group : spec.cgroups) add(*group, 0);
  for (size_t i = 0; i < spec.steps.size(); ++i)
    for (const auto& op : spec.steps[i]->ops)
      if (op->group) add(*op->group, static_cast<uint32_t>(i + 1));
}

// The workers of a cgroup are numbered on through its batches, and report in this order.
bool WorkerStats::is_messenger(const WorkerReport& report) {
  if (report.work() != WorkType::FutexFanOut && report.work() != WorkType::FanOutCompute) return false;
  for (FanOut& f : fan_outs_) {
    if (f.step != report.step() || f.work != report.work() || f.cgroup != str(report.cgroup())) continue;
    if (!f.first) f.first = report.index();
    return f.size != 0 && (report.index() - *f.first) % f.size == 0;
  }
  return false;
}

void WorkerStats::fold_rates(const WorkerReport& report, bool messenger, CgroupStats& c) {
  const auto iterations = static_cast<double>(report.iterations());
  const uint64_t worker = report.index();
  if (report.run_ns() > 0) {
    const double rate = iterations * 1e9 / static_cast<double>(report.run_ns());
    c.work_rate.smallest(rate, worker);
    if (!messenger) {  // it does other work than its receivers
      const double delta = rate - c.rate_mean;
      c.rate_mean += delta / static_cast<double>(++c.rates);
      c.rate_squares += delta * (rate - c.rate_mean);
    }
  } else {
    ++c.no_cpu_time;
  }
  if (report.wall_ns() > 0)
    c.iteration_rate.smallest(iterations * 1e9 / static_cast<double>(report.wall_ns()), worker);
  else
    ++c.no_wall;
  if (report.iterations() > 0)
    c.migration_ratio.largest(static_cast<double>(report.migrations()) / iterations, worker);
  if (report.wake_max_ns() == 0) return;
  c.wake_p99.largest(static_cast<double>(report.wake_p99_ns()), worker);
  if (report.wake_mean_ns() > 0)
    c.wake_cv.largest(
        static_cast<double>(report.wake_stddev_ns()) / static_cast<double>(report.wake_mean_ns()), worker);
}

void WorkerStats::fold(const WorkerReport& report) {
  ++reports_;
  std::string_view name = str(report.cgroup()).substr(0, 256);
  auto it = std::find_if(cgroups_.begin(), cgroups_.end(),
                         [&](const CgroupStats& c) { return c.name == name && c.work == report.work(); });
  if (it == cgroups_.end()) {
    if (cgroups_.size() >= kMaxCgroups) {
      it = cgroups_.end() - 1;
    } else {
      cgroups_.push_back({.name = std::string(name), .work = report.work()});
      it = cgroups_.end() - 1;
    }
  }
  CgroupStats& c = *it;
  // A worker that reports no time at all ran for 0 percent.
  double run = report.wall_ns()
                   ? 100.0 * static_cast<double>(report.run_ns()) / static_cast<double>(report.wall_ns())
                   : 0;
  run = std::clamp(run, 0.0, 100.0);
  const bool messenger = is_messenger(report);
  if (!messenger) {
    c.run_min_pct = c.any_run ? std::min(c.run_min_pct, run) : run;
    c.run_max_pct = std::max(c.run_max_pct, run);
    c.any_run = true;
  }
  c.shortest_ns = c.workers == 0 ? report.wall_ns() : std::min(c.shortest_ns, report.wall_ns());
  ++c.workers;
  if (report.cpus()) {
    for (uint16_t cpu : *report.cpus())
      if (c.cpus.size() < 8192) c.cpus.insert(cpu);
  }
  if (report.longest_gap_ns() > c.gap_ns) {
    c.gap_ns = report.longest_gap_ns();
    c.gap_at_ns = report.gap_at_ns();
    c.gap_cpu = report.gap_cpu();
    c.gap_worker = report.index();
  }
  c.migrations += report.migrations();
  c.iterations += report.iterations();
  c.wait_ns += report.wait_ns();
  c.wakeups += report.wakeups();
  c.wake_p99_ns = std::max(c.wake_p99_ns, report.wake_p99_ns());
  c.wake_max_ns = std::max(c.wake_max_ns, report.wake_max_ns());
  // A program of its own counts no iterations: it made progress when it ran.
  const bool custom = report.work() == WorkType::Custom;
  if (!custom) fold_rates(report, messenger, c);
  if (auto* cpus = report.outside_cpus(); cpus && cpus->size() > 0) {
    if (c.outside++ == 0) {
      c.first_outside = report.index();
      c.cpuset = std::string(str(report.cpuset()).substr(0, 256));
    }
    for (uint16_t cpu : *cpus)
      if (c.outside_cpus.size() < 8192) c.outside_cpus.insert(cpu);
  }
  if (custom ? report.run_ns() == 0 : report.iterations() == 0) {
    if (c.starved++ == 0) c.first_starved = report.index();
  }
  if (report.killed())
    ++c.killed;
  else if (report.exit_code() != 0)
    ++c.failed;
}

CgroupStats WorkerStats::total() const {
  CgroupStats sum;
  for (const CgroupStats& c : cgroups_) {
    sum.workers += c.workers;
    sum.cpus.insert(c.cpus.begin(), c.cpus.end());
    if (c.gap_ns > sum.gap_ns) {
      sum.gap_ns = c.gap_ns;
      sum.gap_cpu = c.gap_cpu;
    }
    sum.migrations += c.migrations;
    sum.iterations += c.iterations;
    sum.starved += c.starved;
  }
  return sum;
}

}  // namespace ktstr
