#include "workload/worker_stats.h"

#include <algorithm>
#include <cmath>

#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

constexpr size_t kMaxNameKept = 256, kMaxCpusKept = 8192, kMaxErrorsKept = 64;

void keep(const std::vector<uint16_t>& from, std::set<unsigned>& cpus) {
  for (uint16_t cpu : from)
    if (cpus.size() < kMaxCpusKept) cpus.insert(cpu);
}

}  // namespace

std::string CgroupStats::refusals() const {
  constexpr size_t kMost = 4;
  std::vector<std::pair<std::pair<std::string, int>, uint64_t>> sorted(errors.begin(), errors.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (size_t i = 0; i < std::min(kMost, sorted.size()); ++i) {
    const auto& [kind, count] = sorted[i];
    out += (out.empty() ? "" : ", ") + kind.first + " failed " +
           (count == 1 ? "once" : std::to_string(count) + " times") + " with " + errno_text(kind.second);
  }
  return sorted.size() > kMost ? out + ", …" : out;
}

double CgroupStats::throughput_cv() const {
  return rate_mean > 0 ? std::sqrt(rate_squares / static_cast<double>(rates)) / rate_mean : 0;
}

void CgroupStats::add_rates(const WorkerReportT& report, bool messenger) {
  const auto done = static_cast<double>(report.iterations);
  if (report.run_ns > 0) {
    const double rate = done * 1e9 / static_cast<double>(report.run_ns);
    work_rate.smallest(rate, report.index);
    if (!messenger) {  // it does other work than its receivers
      const double delta = rate - rate_mean;
      rate_mean += delta / static_cast<double>(++rates);
      rate_squares += delta * (rate - rate_mean);
    }
  } else {
    ++no_cpu_time;
  }
  if (report.wall_ns > 0)
    iteration_rate.smallest(done * 1e9 / static_cast<double>(report.wall_ns), report.index);
  else
    ++no_wall;
  if (report.iterations > 0)
    migration_ratio.largest(static_cast<double>(report.migrations) / done, report.index);
}

void CgroupStats::add(const WorkerReportT& report, bool messenger) {
  if (!messenger) {
    // A worker that reports no time at all ran for 0 percent.
    double run =
        report.wall_ns ? 100.0 * static_cast<double>(report.run_ns) / static_cast<double>(report.wall_ns) : 0;
    run = std::clamp(run, 0.0, 100.0);
    run_min_pct = any_run ? std::min(run_min_pct, run) : run;
    run_max_pct = std::max(run_max_pct, run);
    any_run = true;
  }
  shortest_ns = workers == 0 ? report.wall_ns : std::min(shortest_ns, report.wall_ns);
  ++workers;
  keep(report.cpus, cpus);
  if (report.longest_gap_ns > gap_ns) {
    gap_ns = report.longest_gap_ns;
    gap_at_ns = report.gap_at_ns;
    gap_cpu = report.gap_cpu;
    gap_worker = report.index;
  }
  migrations += report.migrations;
  iterations += report.iterations;
  wait_ns += report.wait_ns;
  wakeups += report.wakeups;
  wake_p99_ns = std::max(wake_p99_ns, report.wake_p99_ns);
  wake_max_ns = std::max(wake_max_ns, report.wake_max_ns);
  add_rates(report, messenger);
  if (report.wake_max_ns > 0) {
    wake_p99.largest(static_cast<double>(report.wake_p99_ns), report.index);
    if (report.wake_mean_ns > 0)
      wake_cv.largest(static_cast<double>(report.wake_stddev_ns) / static_cast<double>(report.wake_mean_ns),
                      report.index);
  }
  if (!report.outside_cpus.empty()) {
    if (outside++ == 0) {
      first_outside = report.index;
      cpuset = report.cpuset.substr(0, kMaxNameKept);
    }
    keep(report.outside_cpus, outside_cpus);
  }
  const bool custom = report.work == WorkType::Custom;
  if ((custom ? report.run_ns : report.iterations) == 0) {
    if (starved++ == 0) first_starved = report.index;
  }
  for (const auto& error : report.errors) {
    if (error->count == 0) continue;
    const std::pair<std::string, int> kind{error->what.substr(0, kMaxNameKept), error->error};
    if (errors.size() < kMaxErrorsKept || errors.contains(kind)) errors[kind] += error->count;
  }
  if (!report.errors.empty() && refused++ == 0) first_refused = report.index;
  if (report.killed) {
    ++killed;
    if (!custom || report.function) ++stuck;
  } else if (report.exit_code != 0) {
    ++failed;
  }
}

void WorkerStats::expect(const TestSpecT& spec) {
  auto add = [&](const CgroupSpecT& group, uint32_t step) {
    if (is_messenger(group.work, 0))
      fan_outs_.push_back({group.name, step, group_size(group), group.work, {}});
  };
  for (const auto& group : spec.cgroups) add(*group, 0);
  for (size_t i = 0; i < spec.steps.size(); ++i)
    for (const auto& op : spec.steps[i]->ops)
      if (op->group) add(*op->group, static_cast<uint32_t>(i + 1));
}

// The workers of a cgroup are numbered on through its batches, and report in this order.
bool WorkerStats::messenger_by_place(const WorkerReportT& report) {
  for (FanOut& f : fan_outs_) {
    if (f.step != report.step || f.work != report.work || f.cgroup != report.cgroup) continue;
    if (!f.first) f.first = report.index;
    return f.size != 0 && (report.index - *f.first) % f.size == 0;
  }
  return false;
}

void WorkerStats::fold(const WorkerReportT& report) {
  ++reports_;
  const std::string name = report.cgroup.substr(0, kMaxNameKept);
  auto it = std::find_if(cgroups_.begin(), cgroups_.end(),
                         [&](const CgroupStats& c) { return c.name == name && c.work == report.work; });
  if (it == cgroups_.end()) {
    if (cgroups_.size() < kMaxCgroups) {
      cgroups_.emplace_back();
      cgroups_.back().name = name;
      cgroups_.back().work = report.work;
    }
    it = cgroups_.end() - 1;
  }
  it->add(report, report.messenger ? *report.messenger : messenger_by_place(report));
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
