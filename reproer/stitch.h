// From probe hits to the call chain that led to the crash: for each function of the plan the hit of the
// crashing task's last journey, decoded. Pure.
#pragma once

#include <string>
#include <vector>

#include "schemas/event_generated.h"

namespace ktstr {

struct StitchInputs {
  const ProbePlanT* plan = nullptr;
  const std::vector<ProbeHitT>* hits = nullptr;  // as they came
  const ProbeTriggeredT* trigger = nullptr;      // null: the scheduler was not thrown out
  const ProbeAttachedT* attached = nullptr;      // null: unknown
  const CrashDetectedT* crash = nullptr;         // of the second VM; null: none
  uint64_t end_ns = 0;                           // without a trigger: "now" of the second VM
};

// Outermost first. Functions of the plan without a hit are there too, with a note why.
std::vector<std::unique_ptr<DecodedCallT>> stitch(const StitchInputs& inputs);

}  // namespace ktstr
