#include "workload/work_types.h"

#include <algorithm>

#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

using enum WorkGrouping;

constexpr WorkNumber kNumbers[] = {
    {"size_kb", &CgroupSpecT::size_kb, 32},         {"stride", &CgroupSpecT::stride, 64},
    {"fan_out", &CgroupSpecT::fan_out, 4},          {"contenders", &CgroupSpecT::contenders, 4},
    {"hold_iters", &CgroupSpecT::hold_iters, 256},  {"work_iters", &CgroupSpecT::work_iters, 1024},
    {"spin_iters", &CgroupSpecT::spin_iters, 1024}, {"touches", &CgroupSpecT::touches, 256},
};

// In the order of the manual.
constexpr WorkInfo kWorkTypes[] = {
    {WorkType::CpuSpin, kAlone, "", "computes without pause"},
    {WorkType::YieldHeavy, kAlone, "", "calls sched_yield after every short computation"},
    {WorkType::Mixed, kAlone, "burst_ms pause_ms", "computes, yields and sleeps in turn"},
    {WorkType::Bursty, kAlone, "burst_ms pause_ms", "computes for burst_ms, sleeps for pause_ms"},
    {WorkType::PipeIo, kPairs, "", "pairs of workers bounce a byte through two pipes"},
    {WorkType::FutexPingPong, kPairs, "spin_iters", "pairs of workers hand a futex word to and fro"},
    {WorkType::ForkExit, kAlone, "", "forks a child that exits at once, and waits for it"},
    {WorkType::IoSync, kAlone, "size_kb", "writes a file of size_kb and syncs it"},
    {WorkType::CachePressure, kAlone, "size_kb stride", "reads and writes size_kb in steps of stride"},
    {WorkType::CacheYield, kAlone, "size_kb stride", "CachePressure, then sched_yield"},
    {WorkType::CachePipe, kPairs, "size_kb stride", "CachePressure, then a byte to the partner: pairs"},
    {WorkType::FutexFanOut, kFanOut, "fan_out spin_iters",
     "one messenger wakes fan_out receivers, and waits for all of them"},
    {WorkType::Sequence, kAlone, "phases", "goes through `phases`, round and round"},
    {WorkType::NiceSweep, kAlone, "spin_iters",
     "sets its nice level to -20 … 19 in turn, computing in between"},
    {WorkType::AffinityChurn, kAlone, "spin_iters",
     "binds itself to a random allowed CPU after each computation"},
    {WorkType::PolicyChurn, kAlone, "spin_iters",
     "goes through the scheduling policies, computing in between"},
    {WorkType::FanOutCompute, kFanOut, "fan_out burst_ms",
     "FutexFanOut whose receivers compute for burst_ms when woken"},
    {WorkType::PageFaultChurn,
     kAlone,
     "size_kb touches spin_iters",
     "touches random pages of a fresh mapping of size_kb, then drops it",
     {{"size_kb", 4096}, {"spin_iters", 64}}},
    {WorkType::MutexContention, kContenders, "contenders hold_iters work_iters",
     "groups of `contenders` workers fight for one futex mutex"},
    {WorkType::Custom, kAlone, "payload", "is a program of yours"},
};

}  // namespace

bool WorkInfo::takes(std::string_view attribute) const {
  const size_t at = params.find(attribute);
  if (at == std::string_view::npos) return false;
  const size_t end = at + attribute.size();
  return (at == 0 || params[at - 1] == ' ') && (end == params.size() || params[end] == ' ');
}

uint32_t WorkInfo::default_of(const WorkNumber& number) const {
  for (const auto& own : own_defaults)
    if (own.name == number.name) return own.by_default;
  return number.by_default;
}

std::span<const WorkInfo> work_types() { return kWorkTypes; }
std::span<const WorkNumber> work_numbers() { return kNumbers; }

const WorkInfo& work_info(WorkType type) {
  const auto found = std::find_if(std::begin(kWorkTypes), std::end(kWorkTypes),
                                  [&](const auto& i) { return i.type == type; });
  return found == std::end(kWorkTypes) ? kWorkTypes[0] : *found;
}

uint32_t group_size(const CgroupSpecT& group) {
  switch (work_info(group.work).grouping) {
    case kPairs:
      return 2;
    case kFanOut:
      return group.fan_out + 1;
    case kContenders:
      return std::max(1u, group.contenders);
    case kAlone:
      break;
  }
  return 1;
}

bool is_messenger(WorkType work, uint32_t place) { return place == 0 && work_info(work).grouping == kFanOut; }

void set_work_defaults(CgroupSpecT& group) {
  const WorkInfo& info = work_info(group.work);
  for (const WorkNumber& number : kNumbers)
    group.*number.field = info.takes(number.name) ? info.default_of(number) : 0;
}

std::string work_default_text(std::string_view attribute) {
  for (const auto& [name, ns] :
       {std::pair{"burst_ms", CgroupSpecT().burst_ns}, {"pause_ms", CgroupSpecT().pause_ns}})
    if (attribute == name) return std::to_string(ns / 1'000'000);
  for (const WorkNumber& number : kNumbers) {
    if (attribute != number.name) continue;
    std::string text = std::to_string(number.by_default);
    for (const WorkInfo& info : kWorkTypes)
      if (const uint32_t own = info.default_of(number); own != number.by_default)
        text += "; " + std::string(EnumNameWorkType(info.type)) + " " + std::to_string(own);
    return text;
  }
  return "";
}

}  // namespace ktstr
