#include "reporter/checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "reporter/names.h"
#include "runtime/text.h"

namespace ktstr {

CheckResults run_checks(const RunModel& model) {
  CheckResults out;
  const VmRecord& vm = model.primary();
  const TestSpecT& spec = model.spec();
  // A slow host keeps guest CPUs waiting: a gap is measured against what deadlines are measured against.
  const double scale = std::max(1.0, static_cast<double>(model.run().time_scale));
  const auto max_gap_ns = static_cast<uint64_t>(static_cast<double>(spec.max_gap_ns) * scale);
  if (spec.cgroups.empty()) return out;
  if (!vm.workload_finished) {
    out.unknown.push_back(fmt::format("the workload did not finish (last stage: {})", stage_name(vm.stage)));
    return out;
  }
  uint64_t expected = 0;
  for (const auto& cgroup : spec.cgroups) expected += cgroup->workers;
  if (vm.workers.reports() < expected) {
    out.unknown.push_back(
        fmt::format("{} of {} workers did not report", expected - vm.workers.reports(), expected));
  }
  for (const CgroupStats& c : vm.workers.cgroups()) {
    if (spec.not_starved && c.starved > 0)
      out.violated.push_back(
          fmt::format("starved: {} of {} workers of {} made no progress (first: worker {})", c.starved,
                      c.workers, c.name, c.first_starved));
    if (max_gap_ns > 0 && c.gap_ns > max_gap_ns)
      out.violated.push_back(fmt::format("gap: worker {} of {} was off its CPU for {} on CPU {}, allowed {}{}",
                                         c.gap_worker, c.name, human_ns(c.gap_ns), c.gap_cpu,
                                         human_ns(spec.max_gap_ns),
                                         scale > 1 ? fmt::format(" x{:.2f}", scale) : ""));
    if (spec.max_spread_pct > 0 && c.spread_pct() > static_cast<double>(spec.max_spread_pct))
      out.violated.push_back(fmt::format(
          "spread: {} ran its workers between {:.1f}% and {:.1f}% of the time, spread "
          "{:.1f} points, allowed {:.1f}",
          c.name, c.run_min_pct, c.run_max_pct, c.spread_pct(), static_cast<double>(spec.max_spread_pct)));
  }
  return out;
}

}  // namespace ktstr
