// How a probe reads the values of its target: neighbours behind one pointer with one read. Loader and decoder call
// this for the same plan, so that they agree on where a value lies. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "bpf/probe_abi.h"
#include "schemas/probe_generated.h"

namespace ktstr::probe {

struct ReadPlan {
  struct Place {
    int read = -1;       // index in `reads`; -1: the argument itself
    uint16_t at = 0;     // in ktstr_hit.data, or the index in ktstr_hit.raw
    uint16_t bytes = 0;  // of the value
  };
  std::vector<ktstr_read> reads;  // at most KTSTR_MAX_VALUES
  std::vector<Place> places;      // of the target's values in their order; shorter when the rest does not fit
};

ReadPlan plan_reads(const ProbeTargetT& target);
// Of each target of a plan, in their order.
std::vector<ReadPlan> plan_all_reads(const ProbePlanT& plan);

}  // namespace ktstr::probe
