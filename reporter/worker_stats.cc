#include "reporter/worker_stats.h"

#include <algorithm>

#include "schemas/envelope.h"

namespace ktstr {

void WorkerStats::fold(const WorkerReport& report) {
  ++reports_;
  std::string_view name = str(report.cgroup()).substr(0, 256);
  auto it =
      std::find_if(cgroups_.begin(), cgroups_.end(), [&](const CgroupStats& c) { return c.name == name; });
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
  c.run_min_pct = c.workers == 0 ? run : std::min(c.run_min_pct, run);
  c.run_max_pct = std::max(c.run_max_pct, run);
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
  if (report.iterations() == 0) {
    if (c.starved++ == 0) c.first_starved = report.index();
  }
  if (report.killed()) ++c.killed;
  if (report.exit_code() != 0) ++c.failed;
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
