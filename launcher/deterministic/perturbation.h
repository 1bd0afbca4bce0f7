// What a seed changes in a deterministic run: only what differs on real hardware too, from one run to the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/common_generated.h"

namespace ktstr {

// "random": how fast a CPU is, how often the vCPUs take turns, when the scheduler attaches and the workers start.
// "few": the same, but the turns are changed at a few single moments only (few, well-placed preemptions find most races).
inline constexpr const char* kStrategies[] = {"random", "few"};

// Seed 0 perturbs nothing. The same in every version of ktstr that can replay a seed. kInvalid: no such strategy.
Result<DeterminismT> determinism_for(uint64_t seed, const std::string& strategy);

// The fields that differ, for a person: "icount_shift 1 → 3".
std::vector<std::string> differences(const DeterminismT& a, const DeterminismT& b);

}  // namespace ktstr
