// The reads of a plan as BPF instructions, one plain load for each piece of a value: a helper call costs as much as
// twenty. The probe programs call them in place of their loop over `reads`. Pure.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>
#include <vector>

#include "bpf/read_plan.h"

namespace ktstr::probe {

struct DirectReads {
  uint32_t cast_function = 0;  // ProbePlan.cast_function
  uint32_t comm_offset = 0;    // ProbePlan.comm_offset
  uint32_t pid_offset = 0;     // ProbePlan.pid_offset
  // The targets that may hit, ascending; `plans` is plan_all_reads() of the whole plan.
  std::span<const uint32_t> targets;
  std::span<const ReadPlan> plans;
};

// A function of the hit (struct ktstr_hit *, R1). It fills `data`, `pid` and `comm`, adds to `failed`, and sets `left`: bit
// per read that the caller has to do. That is text of the kernel, and what lies behind a pointer where all values were
// zero: a plain load of memory that is not there gives zero, too. Empty: no such function can be made.
//
// A kernel takes it if its bpf_rdonly_cast casts to void (6.17 and later). Limit: of an object that lies in two pages of which
// only one is there, the values of the other are zero and not failed.
std::vector<bpf_insn> direct_reads(const DirectReads& reads);

// `program`: as the object file has it, main function first. Puts `body` in the place of the first function that it calls
// directly. False: it calls none.
bool splice(std::vector<bpf_insn>* program, const std::vector<bpf_insn>& body);
// Each call of bpf_get_attach_cookie becomes this constant.
void set_cookie(std::vector<bpf_insn>* program, uint32_t cookie);
// Where functions begin, ascending: those that are called, and callbacks.
std::vector<uint32_t> function_starts(std::span<const bpf_insn> program);

}  // namespace ktstr::probe
