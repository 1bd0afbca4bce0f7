// The table of work types: what each does, which attributes of a cgroup it takes with which defaults, and how its
// workers belong together. Read by the spec's reader and manual, by the SDK, and by whoever starts and judges workers.
// To add a type: WorkType in schemas/spec.fbs, a row here, its loop in a worker_*.cc (README.md).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "schemas/spec_generated.h"

namespace ktstr {

inline constexpr uint32_t kMaxWorkers = 4096;  // of one test, over all cgroups

enum class WorkGrouping {
  kAlone,
  kPairs,       // hand a token to each other; workload/worker.h: ring_place
  kFanOut,      // a messenger and its `fan_out` receivers
  kContenders,  // `contenders` workers that share a mutex
};

// A count that work takes: its attribute, where it is kept, what it is when nobody says.
struct WorkNumber {
  std::string_view name;
  uint32_t CgroupSpecT::* field;
  uint32_t by_default;
};

struct WorkInfo {
  WorkType type;
  WorkGrouping grouping;
  std::string_view params;  // attributes that it takes, apart by blanks
  std::string_view doc;     // for the manual
  // Counts whose default is this type's own.
  struct {
    std::string_view name;
    uint32_t by_default = 0;
  } own_defaults[2] = {};

  bool takes(std::string_view attribute) const;
  uint32_t default_of(const WorkNumber& number) const;
};

std::span<const WorkInfo> work_types();
const WorkInfo& work_info(WorkType type);
std::span<const WorkNumber> work_numbers();

// How many workers belong together; 1: each is alone.
uint32_t group_size(const CgroupSpecT& group);
// Does the worker at this place of its group, 0: the first, do other work than the rest (the messenger of a fan-out)?
bool is_messenger(WorkType work, uint32_t place);

// Sets the counts that group.work takes to their defaults, and those that it does not take to 0.
void set_work_defaults(CgroupSpecT& group);
// The default of an attribute as the manual writes it, "32; PageFaultChurn 4096"; empty: it is in no table of work.
std::string work_default_text(std::string_view attribute);

}  // namespace ktstr
