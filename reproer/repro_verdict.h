// Whether the repro VM ended as the primary VM did. No I/O.
#pragma once

#include <string>

#include "reproer/vm_facts.h"
#include "schemas/repro_generated.h"

namespace ktstr {

struct TryVerdict {
  ReproStatus status = ReproStatus::NotReproduced;
  std::string signature;  // of the repro VM; empty: it did not crash
};

TryVerdict judge_try(const VmFacts& primary, const VmFacts& repro);

// The report shows the try that tells more.
bool tells_more(ReproStatus a, ReproStatus b);

}  // namespace ktstr
