// Ways out of a callback on which nothing happens to the task: decided by a branch, one outcome of which can no longer reach
// a call that does something with a task. From a program's translated instructions alone; nothing is run.
//
// What cannot be seen counts as done: a function that may call such a function, and whatever follows such a call. So a way
// that is named is there in the code; whether it was taken is not known.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace ktstr {

struct ProgramCode {
  std::vector<bpf_insn> insns;      // translated, all functions one after the other
  std::vector<uint32_t> functions;  // first instruction of each, ascending; [0], the entry, is 0
};

enum class CallDoes : uint8_t {
  kNothing,
  kPlaces,  // inserts a task into a DSQ, or moves one from a DSQ
  kKeeps,   // stores something that others read: in a map, ring, list or tree
  kArms,    // starts a BPF timer
};
// By the name of a kfunc, a helper, or a map's function that the kernel calls in a helper's place. "scx_bpf_dsq_insert___v2": kPlaces.
CallDoes call_does(std::string_view function);

struct ProgramWays {
  std::vector<uint32_t> places;    // calls that place a task, ascending instructions
  std::vector<uint32_t> unplaced;  // branches after which no task is placed
  std::vector<uint32_t> dropped;   // branches after which no task is placed and nothing is kept
  std::vector<uint32_t> unarmed;   // of subprograms that start a timer: branches after which they do not
};
// `does`: of the kfunc or helper that the call at this instruction calls.
ProgramWays find_ways(const ProgramCode& code, const std::function<CallDoes(uint32_t)>& does);

}  // namespace ktstr
