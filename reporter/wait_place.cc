#include "reporter/wait_place.h"

#include <optional>
#include <vector>

#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

struct SeenIn {
  std::string dsq;  // its name; empty: in none
  bool bypass = false;
};

std::optional<SeenIn> seen_in(const GuestFrozenT& frozen, int pid) {
  for (const auto& dsq : frozen.dsqs)
    for (const auto& task : dsq->tasks)
      if (task->pid == pid)
        return SeenIn{dsq_name(dsq->id, dsq->kind, dsq->place), dsq->kind == DsqKind::Bypass};
  for (const auto& cpu : frozen.cpus)
    for (const auto& task : cpu->tasks)
      if (task->pid == pid)
        return SeenIn{task->dsq_id ? dsq_name(task->dsq_id) : "", task->dsq_id == kScxDsqBypass};
  return std::nullopt;
}

}  // namespace

int named_pid(const VmRecord& vm) {
  if (vm.scheduler.crash)
    return vm.scheduler.crash->stall_task_pid ? vm.scheduler.crash->stall_task_pid
                                              : vm.scheduler.crash->task_pid;
  const auto exit = vm.scheduler.words.dump().exit();
  return exit ? exit->pid : 0;
}

std::string wait_place(const VmRecord& vm, int pid) {
  std::vector<SeenIn> seen;  // best first
  if (const DumpTask* task = vm.scheduler.words.dump().find(pid))
    seen.push_back({task->dsq().empty() ? "" : dsq_name(task->dsq())});
  if (vm.monitor.frozen)
    if (auto in = seen_in(*vm.monitor.frozen, pid)) seen.push_back(std::move(*in));
  if (const auto wait = vm.monitor.waits.find(pid))
    seen.push_back({wait->dsq_id ? dsq_name(wait->dsq_id) : "", wait->dsq_id == kScxDsqBypass});
  const SeenIn* place = nullptr;
  const SeenIn* bypass = nullptr;
  for (const SeenIn& in : seen) {
    if (!in.bypass && !place) place = &in;
    if (in.bypass && !bypass) bypass = &in;
  }
  if (!place) return waits_in(bypass ? bypass->dsq : "");
  std::string text = waits_in(place->dsq);
  if (bypass) text += " (at the abort the kernel moved it to the " + bypass->dsq + ")";
  return text;
}

}  // namespace ktstr
