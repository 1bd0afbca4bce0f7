// What a seed changes in a deterministic run: only what differs on real hardware too, from one run to the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/common_generated.h"

namespace ktstr {

// "random": how fast a CPU is, how often the vCPUs take turns, when the scheduler attaches and the workers start.
// "few": when the scheduler attaches and the workers start, and up to eight windows of 25 ms of the workload in which the vCPUs take
// turns after every few instructions, as if they ran side by side; elsewhere they run undisturbed (few, well-placed changes find most races).
inline constexpr const char* kStrategies[] = {"random", "few"};

// Seed 0 perturbs nothing. The same in every version of ktstr that can replay a seed. `drop`: perturbations of the seed to do
// without, by the names of perturbations_of(), apart by commas. kInvalid: no such strategy, no such perturbation.
Result<DeterminismT> determinism_for(uint64_t seed, const std::string& strategy,
                                     const std::string& drop = "");

// One thing that a seed changes: what --drop calls it, and what it is, for a person.
struct Perturbation {
  std::string name;  // "speed", "turns", "attach", "start", "window:1"
  std::string text;  // "the vCPUs take turns every 723.7 us"
};
std::vector<Perturbation> perturbations_of(const DeterminismT& determinism);

// The fields that differ, for a person: "icount_shift 1 → 3".
std::vector<std::string> differences(const DeterminismT& a, const DeterminismT& b);

}  // namespace ktstr
