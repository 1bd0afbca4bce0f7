// From probe hits to the call chain that led to the crash: for each function of the plan the hit of the
// crashing task's last journey, decoded. Pure.
#pragma once

#include <string>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"

namespace ktstr {

struct StitchInputs {
  const ProbePlanT* plan = nullptr;
  const std::vector<ProbeHitT>* hits = nullptr;        // as they came
  const ProbeTriggeredT* trigger = nullptr;            // null: the scheduler did not exit
  const ProbeAttachedT* attached = nullptr;            // null: unknown
  const CrashDetectedT* crash = nullptr;               // of the repro VM; null: none
  const std::vector<BpfProgramT>* programs = nullptr;  // of the repro VM; null: unknown
  uint64_t end_ns = 0;                                 // without a trigger: "now" of the repro VM
};

struct Stitched {
  // Outermost first. Functions of the plan without a hit are there too, with a note why.
  std::vector<std::unique_ptr<DecodedCallT>> calls;
  // Where the plan asks for a history: for each function in `calls` its hits on the crashing CPU by any task,
  // newest first, without the one that `calls` shows: with it at most plan.history. Only arguments and what
  // changed.
  std::vector<std::unique_ptr<DecodedCallT>> earlier;
};
Stitched stitch(const StitchInputs& inputs);

}  // namespace ktstr
