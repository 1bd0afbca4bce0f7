#include "reproer/repro_verdict.h"

#include <algorithm>
#include <iterator>

#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

TryVerdict judge_try(const VmFacts& primary, const VmFacts& repro) {
  TryVerdict v;
  v.signature = repro.signature();
  const bool ended_early = repro.exited && repro.exited->end != VmEnd::PoweredOff;
  if (repro.crash && !repro.crash->artefact.empty())
    v.status = ReproStatus::EmulatorArtefact;
  else if (!v.signature.empty())
    v.status = v.signature == primary.signature() ? ReproStatus::SameSignature : ReproStatus::DifferentCrash;
  else if (!repro.failure.empty() || !repro.workload_started || ended_early)
    v.status = ReproStatus::VmFailed;
  else
    v.status = ReproStatus::NotReproduced;
  return v;
}

bool tells_more(ReproStatus a, ReproStatus b) {
  static constexpr ReproStatus kOrder[] = {ReproStatus::SameSignature, ReproStatus::DifferentCrash,
                                           ReproStatus::NotReproduced, ReproStatus::EmulatorArtefact,
                                           ReproStatus::VmFailed};
  auto rank = [](ReproStatus s) {
    return std::find(std::begin(kOrder), std::end(kOrder), s) - std::begin(kOrder);
  };
  return rank(a) < rank(b);
}

}  // namespace ktstr
