// Rules that a topology turns into a CPU list (base/cpu_list).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct TopologyT;

// A list, or one of
//   llc:0, numa:0-1      the CPUs of these LLCs, NUMA nodes (a list of their numbers)
//   range:0.25-0.5       that part of all CPUs, in fractions
//   disjoint:0/2         part 0 of 2 equal parts (CPUs that do not divide evenly go to the last)
//   overlap:0/2:0.5      the same, each part sharing that fraction of a part with each neighbour
// CPUs are numbered by LLC: those of LLC i come before those of LLC i + 1, NUMA nodes alike.
// Never empty. Errors (kInvalid) say what is wrong and what the topology has.
Result<std::vector<unsigned>> resolve_cpu_rule(std::string_view rule, const TopologyT& topology);

}  // namespace ktstr
