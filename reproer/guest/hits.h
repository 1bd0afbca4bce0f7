// From ring records to events: which hits are worth sending, and their bytes cut into the plan's values.
#pragma once

#include <string>
#include <vector>

#include "reproer/guest/probe_object.h"
#include "schemas/event_generated.h"

namespace ktstr::probe {

// Bytes that a value takes in ktstr_hit.data; 0 for an argument that is not followed.
uint32_t value_bytes(const ValueSpecT& v);

inline constexpr size_t kMaxHistory = 64;
struct Selection {
  size_t of_task = 400;   // newest hits of the crashing task
  size_t per_target = 1;  // newest hits of each target and side, by any task
  size_t history = 1;     // newest hits of each target and side on the crashing CPU, by any task
};
// Indexes into `capture.hits`, ascending. Without a trigger `history` counts on every CPU.
std::vector<size_t> select_hits(const Capture& capture, size_t targets, const Selection& selection);

// The trigger's stack, innermost first: "NAME+0x1f/0x40"; an address where the kernel gave no name.
std::vector<std::string> stack_text(const ktstr_state& state);

// `ordinal`: its place among all hits of the capture.
ProbeHitT to_event(const ktstr_hit& hit, const ProbeTargetT& target, uint64_t ordinal);
// REQUIRES: state.complete.
ProbeTriggeredT to_event(const ktstr_state& state);

}  // namespace ktstr::probe
