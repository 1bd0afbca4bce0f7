// From ring records to events: which hits are worth sending, and their bytes cut into the plan's values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bpf/probe_abi.h"
#include "bpf/read_plan.h"
#include "schemas/repro_generated.h"

namespace ktstr::probe {

// A step of the plan's trigger ladder that is for crashes of the kernel itself ends so.
inline constexpr std::string_view kFaultMark = "#fault";
// A step that attaches to nothing: orderly exits are triggers, too (the scheduler's process dies).
inline constexpr std::string_view kAnyExit = "#any";

// The content of the rings, oldest hit first.
struct Capture {
  std::vector<ktstr_hit> hits;      // rings and tail, by time
  std::vector<ktstr_hit> subjects;  // last hit of each target about each task; empty unless asked for
  ktstr_state state{};
  uint64_t taken = 0;        // hits in all
  uint64_t overwritten = 0;  // of them no longer in a ring
  uint64_t missed = 0;       // not taken: the kernel skipped a nested probe
  uint64_t cost_ns = 0;      // per hit, of those that were timed; 0: none was
};

struct Selection {
  size_t of_task = 400;   // newest hits of the crashing task
  size_t per_target = 1;  // newest hits of each target and side, by any task
  size_t history = 1;     // newest hits of each target and side on the crashing CPU, by any task
};
// Indexes into `capture.hits`, ascending. Without a trigger `history` counts on every CPU.
std::vector<size_t> select_hits(const Capture& capture, size_t targets, const Selection& selection);

// The trigger's stack, innermost first: "NAME+0x1f/0x40"; an address where the kernel gave no name.
std::vector<std::string> stack_text(const ktstr_state& state);

// `ordinal`: its place among all hits of the capture. `plan`: plan_reads(target).
ProbeHitT to_event(const ktstr_hit& hit, const ProbeTargetT& target, const ReadPlan& plan, uint64_t ordinal);
// REQUIRES: state.complete.
ProbeTriggeredT to_event(const ktstr_state& state);

}  // namespace ktstr::probe
