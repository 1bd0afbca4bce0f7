#include "sdk/work.h"

#include <cmath>

#include "schemas/spec_generated.h"
#include "workload/work_types.h"

namespace ktstr {
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
