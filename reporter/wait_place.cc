#include "reporter/wait_place.h"

#include <algorithm>
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
  std::optional<uint64_t> id = {};  // nothing: in none
  bool sure = true;
};

// The monitor writes 0 for a task in no DSQ, and a scheduler may have given a DSQ that number (one for each CPU, from 0 on).
SeenIn of_number(uint64_t id, bool there_is_a_dsq_0) {
  if (id != 0) return {dsq_name(id), id == kScxDsqBypass, id};
  if (there_is_a_dsq_0) return {.dsq = "DSQ 0x0 or in none", .sure = false};
  return {};
}

std::optional<SeenIn> seen_in(const GuestFrozenT& frozen, int pid) {
  bool dsq_0 = false;  // with tasks that are not listed
  for (const auto& dsq : frozen.dsqs) {
    for (const auto& task : dsq->tasks)
      if (task->pid == pid)
        return SeenIn{dsq_name(dsq->id, dsq->kind, dsq->place), dsq->kind == DsqKind::Bypass, dsq->id};
    dsq_0 = dsq_0 || (dsq->id == 0 && dsq->tasks.size() < dsq->depth);
  }
  for (const auto& cpu : frozen.cpus)
    for (const auto& task : cpu->tasks)
      if (task->pid == pid) return of_number(task->dsq_id, dsq_0);
  return std::nullopt;
}

std::vector<SeenIn> sightings(const VmRecord& vm, int pid) {
  std::vector<SeenIn> seen;  // best first
  if (const DumpTask* task = vm.scheduler.words.dump().find(pid)) {
    if (task->dsq().empty())
      seen.push_back({});
    else
      seen.push_back({dsq_name(task->dsq()), false, parse_number<uint64_t>(task->dsq(), 0)});
  }
  if (const GuestFrozenT* early = vm.monitor.early_of_end())
    if (auto in = seen_in(*early, pid)) seen.push_back(std::move(*in));
  if (vm.monitor.frozen)
    if (auto in = seen_in(*vm.monitor.frozen, pid)) seen.push_back(std::move(*in));
  if (const auto wait = vm.monitor.waits.find(pid))
    seen.push_back(of_number(wait->dsq_id, wait->dsqs_last && wait->dsqs_last->dsqs.contains(0)));
  std::stable_partition(seen.begin(), seen.end(), [](const SeenIn& in) { return in.sure; });
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
