#include "sdk/work.h"

#include <cmath>

#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

// The fields that a body sees, in one list for both directions.
template <typename Result, typename Report, typename Copy>
void each_field(Result& w, Report& r, Copy copy) {
  copy(w.cgroup, r.cgroup);
  copy(w.index, r.index);
  copy(w.pid, r.pid);
  copy(w.iterations, r.iterations);
  copy(w.wall_ns, r.wall_ns);
  copy(w.run_ns, r.run_ns);
  copy(w.wait_ns, r.wait_ns);
  copy(w.longest_gap_ns, r.longest_gap_ns);
  copy(w.gap_cpu, r.gap_cpu);
  copy(w.migrations, r.migrations);
  copy(w.cpus, r.cpus);
  copy(w.outside_cpus, r.outside_cpus);
  copy(w.wakeups, r.wakeups);
  copy(w.wake_p50_ns, r.wake_p50_ns);
  copy(w.wake_p99_ns, r.wake_p99_ns);
  copy(w.wake_max_ns, r.wake_max_ns);
  copy(w.wake_mean_ns, r.wake_mean_ns);
  copy(w.wake_stddev_ns, r.wake_stddev_ns);
  copy(w.exit_code, r.exit_code);
  copy(w.killed, r.killed);
}

template <typename To, typename From>
void assign(To& to, const From& from) {
  if constexpr (requires { to.assign(from.begin(), from.end()); })
    to.assign(from.begin(), from.end());
  else
    to = static_cast<To>(from);
}

}  // namespace

WorkerResult result_of(const WorkerReportT& report) {
  WorkerResult worker;
  each_field(worker, report, [](auto& to, const auto& from) { assign(to, from); });
  worker.messenger = report.messenger.value_or(false);
  for (const auto& error : report.errors) worker.errors[{error->what, error->error}] += error->count;
  worker.work = EnumNameWorkType(report.work);
  return worker;
}

WorkerReportT report_of(const WorkerResult& worker) {
  WorkerReportT report;
  each_field(worker, report, [](const auto& from, auto& to) { assign(to, from); });
  report.messenger = worker.messenger;
  for (const auto& [kind, count] : worker.errors) {
    report.errors.push_back(std::make_unique<WorkerErrorT>());
    report.errors.back()->what = kind.first;
    report.errors.back()->error = kind.second;
    report.errors.back()->count = count;
  }
  for (WorkType type : EnumValuesWorkType())
    if (worker.work == EnumNameWorkType(type)) report.work = type;
  report.function = report.work == WorkType::Custom;  // a body runs no programs
  return report;
}
Result<CgroupSpecT> work_group(const std::string& work, unsigned workers, const WorkOptions& o) {
  CgroupSpecT group;
  group.workers = workers;
  std::string names;
  bool known = false;
  for (WorkType type : EnumValuesWorkType()) {
    if (type == WorkType::Sequence || type == WorkType::Custom) continue;
    names += (names.empty() ? "" : ", ") + std::string(EnumNameWorkType(type));
    if (work != EnumNameWorkType(type)) continue;
    group.work = type;
    known = true;
  }
  if (!known)
    return Error::invalid("there is no work \"" + work + "\" for a body").with_hint("there are " + names);
  set_work_defaults(group);
  if (o.burst_ms != 0) group.burst_ns = static_cast<uint64_t>(std::llround(o.burst_ms * 1e6));
  if (o.pause_ms != 0) group.pause_ns = static_cast<uint64_t>(std::llround(o.pause_ms * 1e6));
  for (const auto& [given, field] : std::initializer_list<std::pair<unsigned, uint32_t CgroupSpecT::*>>{
           {o.size_kb, &CgroupSpecT::size_kb},
           {o.stride, &CgroupSpecT::stride},
           {o.fan_out, &CgroupSpecT::fan_out},
           {o.contenders, &CgroupSpecT::contenders},
           {o.hold_iters, &CgroupSpecT::hold_iters},
           {o.work_iters, &CgroupSpecT::work_iters},
           {o.spin_iters, &CgroupSpecT::spin_iters},
           {o.touches, &CgroupSpecT::touches}})
    if (given != 0) group.*field = given;
  group.nice = o.nice;
  group.affinity = o.affinity;
  if (!o.policy.empty()) {
    known = false;
    for (SchedPolicy policy : EnumValuesSchedPolicy())
      if (o.policy == EnumNameSchedPolicy(policy)) {
        group.policy = policy;
        known = true;
      }
    if (!known)
      return Error::invalid("there is no policy \"" + o.policy + "\"")
          .with_hint("Normal, Batch, Idle, Fifo, RoundRobin, Ext");
    if (group.policy == SchedPolicy::Fifo || group.policy == SchedPolicy::RoundRobin)
      group.priority = o.priority;
  }
  if (const unsigned size = group_size(group); size > 1 && workers % size != 0)
    return Error::invalid(work + " works in groups of " + std::to_string(size) + ", but there are " +
                          std::to_string(workers) + " workers");
  return group;
}

}  // namespace ktstr
