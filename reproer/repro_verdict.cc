#include "reproer/repro_verdict.h"

#include <algorithm>
#include <iterator>

#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {

TryVerdict judge_try(const VmFacts& primary, const VmFacts& repro) {
  TryVerdict v;
  v.signature = repro.signature();
  if (repro.crash && !repro.crash->artefact.empty()) {
    v.status = ReproStatus::EmulatorArtefact;
    v.detail = "the repro VM's crash looks like a fault of the emulator, not of the scheduler: " +
               repro.crash->artefact;
    return v;
  }
  if (!v.signature.empty()) {
    const bool same = v.signature == primary.signature();
    v.status = same ? ReproStatus::SameSignature : ReproStatus::DifferentCrash;
    v.detail = same ? "the repro VM ended in the same way" : "the repro VM failed in another way";
    return v;
  }
  const std::string where = "last stage: " + stage_name(repro.stage);
  if (!repro.failure.empty()) {
    v.status = ReproStatus::VmFailed;
    v.detail = "the repro VM's init gave up: " + repro.failure;
  } else if (!repro.workload_started) {
    v.status = ReproStatus::VmFailed;
    v.detail = "the repro VM never reached its workload; " + where;
  } else if (repro.exited && repro.exited->end != VmEnd::PoweredOff) {
    v.status = ReproStatus::VmFailed;
    v.detail = "the repro VM ended early, no crash was seen; " + where;
  } else {
    v.status = ReproStatus::NotReproduced;
    v.detail = "the same workload ran to its end under probes, and nothing crashed";
    if (primary.crash && !primary.crash->artefact.empty())
      v.detail += "; the primary VM's crash looks like a fault of the emulator, not of the scheduler: " +
                  primary.crash->artefact;
  }
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
