#include "reporter/wait_place.h"

#include <optional>
#include <vector>

#include "base/cpu_list.h"
#include "base/numbers.h"
#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

struct SeenIn {
  std::string dsq;  // its name; empty: in none
  bool bypass = false;
  uint64_t id = 0;
};

std::optional<SeenIn> seen_in(const GuestFrozenT& frozen, int pid) {
  for (const auto& dsq : frozen.dsqs)
    for (const auto& task : dsq->tasks)
      if (task->pid == pid)
        return SeenIn{dsq_name(dsq->id, dsq->kind, dsq->place), dsq->kind == DsqKind::Bypass, dsq->id};
  for (const auto& cpu : frozen.cpus)
    for (const auto& task : cpu->tasks)
      if (task->pid == pid)
        return SeenIn{task->dsq_id ? dsq_name(task->dsq_id) : "", task->dsq_id == kScxDsqBypass,
                      task->dsq_id};
  return std::nullopt;
}

std::vector<SeenIn> sightings(const VmRecord& vm, int pid) {
  std::vector<SeenIn> seen;  // best first
  if (const DumpTask* task = vm.scheduler.words.dump().find(pid))
    seen.push_back(
        {task->dsq().empty() ? "" : dsq_name(task->dsq()), false, parse_number(task->dsq(), 0).value_or(0)});
  if (const GuestFrozenT* early = vm.monitor.early_of_end())
    if (auto in = seen_in(*early, pid)) seen.push_back(std::move(*in));
  if (vm.monitor.frozen)
    if (auto in = seen_in(*vm.monitor.frozen, pid)) seen.push_back(std::move(*in));
  if (const auto wait = vm.monitor.waits.find(pid))
    seen.push_back({wait->dsq_id ? dsq_name(wait->dsq_id) : "", wait->dsq_id == kScxDsqBypass, wait->dsq_id});
  return seen;
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
  const std::vector<SeenIn> seen = sightings(vm, pid);
  const SeenIn* place = nullptr;
  const SeenIn* bypass = nullptr;
  for (const SeenIn& in : seen) {
    if (!in.bypass && !place) place = &in;
    if (in.bypass && !bypass) bypass = &in;
  }
  if (!place) return waits_in(bypass ? bypass->dsq : "");
  std::string text = waits_in(place->dsq);
  if (bypass && (vm.scheduler.crash || vm.scheduler.words.error()))
    text += " (at the abort the kernel moved it to the " + bypass->dsq + ")";
  return text;
}

std::optional<uint64_t> wait_dsq(const VmRecord& vm, int pid) {
  for (const SeenIn& in : sightings(vm, pid))
    if (!in.bypass) return in.id;
  return std::nullopt;
}

std::vector<unsigned> allowed_cpus(const VmRecord& vm, int pid) {
  constexpr unsigned kMostCpus = 8192;
  auto of_text = [](const std::string& text) {
    auto cpus = parse_cpu_list(text, kMostCpus);
    return cpus ? *cpus : std::vector<unsigned>();
  };
  for (const auto* frozen : {&vm.monitor.early, &vm.monitor.frozen}) {
    if (!*frozen) continue;
    for (const auto& cpu : (*frozen)->cpus)
      for (const auto& task : cpu->tasks)
        if (task->pid == pid && !task->cpus.empty()) return of_text(task->cpus);
  }
  const DumpTask* task = vm.scheduler.words.dump().find(pid);
  return task ? parse_cpu_mask(task->fields.get("cpus")) : std::vector<unsigned>();
}

}  // namespace ktstr
