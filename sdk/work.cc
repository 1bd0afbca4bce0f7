#include "sdk/work.h"

#include <cmath>

#include "schemas/spec_generated.h"
#include "workload/worker.h"

namespace ktstr {
namespace {

unsigned given(unsigned value, unsigned otherwise) { return value != 0 ? value : otherwise; }

// How many workers belong together; 1: each is alone.
unsigned together(const CgroupSpecT& group) {
  if (guest::passes_token(group.work)) return 2;
  return std::max(1u, guest::group_size(group));
}

}  // namespace

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
  const bool faults = group.work == WorkType::PageFaultChurn;
  group.burst_ns = static_cast<uint64_t>(std::llround(o.burst_ms * 1e6));
  group.pause_ns = static_cast<uint64_t>(std::llround(o.pause_ms * 1e6));
  group.size_kb = given(o.size_kb, faults ? 4096 : 32);
  group.stride = given(o.stride, 64);
  group.fan_out = given(o.fan_out, 4);
  group.contenders = given(o.contenders, 4);
  group.hold_iters = given(o.hold_iters, 256);
  group.work_iters = given(o.work_iters, 1024);
  group.spin_iters = given(o.spin_iters, faults ? 64 : 1024);
  group.touches = given(o.touches, 256);
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
  if (const unsigned size = together(group); size > 1 && workers % size != 0)
    return Error::invalid(work + " works in groups of " + std::to_string(size) + ", but there are " +
                          std::to_string(workers) + " workers");
  return group;
}

}  // namespace ktstr
