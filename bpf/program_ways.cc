#include "bpf/program_ways.h"

#include <algorithm>

namespace ktstr {
namespace {

constexpr size_t kMaxFunctionDepth = 8;  // the verifier's own bound of nested calls

uint8_t op(const bpf_insn& i) { return BPF_OP(i.code); }
bool jumps(const bpf_insn& i) { return BPF_CLASS(i.code) == BPF_JMP || BPF_CLASS(i.code) == BPF_JMP32; }
bool is_call(const bpf_insn& i) { return i.code == (BPF_JMP | BPF_CALL); }
bool calls_function(const bpf_insn& i) { return is_call(i) && i.src_reg == BPF_PSEUDO_CALL; }
bool branches(const bpf_insn& i) {
  return jumps(i) && op(i) != BPF_JA && op(i) != BPF_CALL && op(i) != BPF_EXIT;
}

enum class Goal : uint8_t { kPlace, kPlaceOrKeep, kArm };

// Stores that put a pointer where others find it: an exchange (bpf_kptr_xchg()), anything in an arena.
bool stores_elsewhere(const bpf_insn& i) {
  const uint8_t cls = BPF_CLASS(i.code);
  if (cls != BPF_STX && cls != BPF_ST) return false;
  constexpr uint8_t kProbeMem32 = 0xa0, kProbeAtomic = 0xe0;
  const uint8_t mode = BPF_MODE(i.code);
  return mode == kProbeMem32 || mode == kProbeAtomic || (mode == BPF_ATOMIC && i.imm == BPF_XCHG);
}

class Finder {
 public:
  Finder(const ProgramCode& code, const std::function<CallDoes(uint32_t)>& does)
      : code_(code), does_(code.insns.size(), CallDoes::kNothing) {
    for (uint32_t i = 0; i < code.insns.size(); ++i)
      if (is_call(code.insns[i]) && code.insns[i].src_reg != BPF_PSEUDO_CALL) does_[i] = does(i);
  }

  ProgramWays run() {
    ProgramWays out;
    if (code_.functions.empty() || code_.functions.front() != 0) return out;
    for (uint32_t i = 0; i < code_.insns.size(); i += wide(i))
      if (goal_call(i, Goal::kPlace)) out.places.push_back(i);
    out.unplaced = ways(Goal::kPlace);
    out.dropped = ways(Goal::kPlaceOrKeep);
    out.unarmed = unarmed();
    return out;
  }

 private:
  uint32_t end_of(size_t function) const {
    return function + 1 < code_.functions.size() ? code_.functions[function + 1]
                                                 : static_cast<uint32_t>(code_.insns.size());
  }
  uint32_t wide(uint32_t i) const { return code_.insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1; }

  // A call that does what is asked for, itself.
  bool goal_call(uint32_t i, Goal what) const {
    const bpf_insn& insn = code_.insns[i];
    if (is_call(insn) && insn.src_reg != BPF_PSEUDO_CALL) {
      const CallDoes does = does_[i];
      if (what == Goal::kArm) return does == CallDoes::kArms;
      return does == CallDoes::kPlaces || (what == Goal::kPlaceOrKeep && does == CallDoes::kKeeps);
    }
    return what == Goal::kPlaceOrKeep && stores_elsewhere(insn);
  }
  // Function of the program that this instruction calls, or hands to a helper that calls it; -1: none.
  int64_t callee(uint32_t i) const {
    const bpf_insn& insn = code_.insns[i];
    int64_t function = -1;
    if (calls_function(insn)) function = insn.imm;
    if (wide(i) == 2 && insn.src_reg == BPF_PSEUDO_FUNC && i + 1 < code_.insns.size())
      function = code_.insns[i + 1].imm;
    return function >= 0 && function < static_cast<int64_t>(code_.functions.size()) ? function : -1;
  }
  // Functions that may reach a goal, their callees included.
  std::vector<bool> functions_that_may(Goal what) const {
    std::vector<bool> may(code_.functions.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t f = 0; f < may.size(); ++f) {
        if (may[f]) continue;
        for (uint32_t i = code_.functions[f]; i < end_of(f) && !may[f]; i += wide(i)) {
          const int64_t inner = callee(i);
          may[f] = goal_call(i, what) || (inner >= 0 && may[static_cast<size_t>(inner)]);
        }
        changed = changed || may[f];
      }
    }
    return may;
  }

  struct Next {
    uint32_t at[2];
    size_t count;
  };
  Next next(uint32_t i, uint32_t begin, uint32_t end) const {
    const bpf_insn& insn = code_.insns[i];
    Next out{{0, 0}, 0};
    auto add = [&](int64_t to) {
      if (to >= begin && to < end) out.at[out.count++] = static_cast<uint32_t>(to);
    };
    if (jumps(insn) && op(insn) == BPF_EXIT) return out;
    if (jumps(insn) && op(insn) == BPF_JA) {
      add(int64_t{i} + 1 + (BPF_CLASS(insn.code) == BPF_JMP32 ? insn.imm : insn.off));
      return out;
    }
    add(int64_t{i} + wide(i));
    if (branches(insn)) add(int64_t{i} + 1 + insn.off);
    return out;
  }

  std::vector<uint32_t> ways(Goal what) const {
    std::vector<uint32_t> out;
    std::vector<bool> seen(code_.functions.size(), false);
    const std::vector<bool> may = functions_that_may(what);
    if (may[0]) ways_of(0, what, may, seen, 0, out);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  // The callbacks of timers are subprograms: those that call what starts a timer themselves.
  std::vector<uint32_t> unarmed() const {
    std::vector<uint32_t> out;
    const std::vector<bool> none(code_.functions.size(), false);
    std::vector<bool> seen(code_.functions.size(), false);
    for (size_t f = 1; f < code_.functions.size(); ++f) ways_of(f, Goal::kArm, none, seen, 0, out);
    std::sort(out.begin(), out.end());
    return out;
  }

  void ways_of(size_t function, Goal what, const std::vector<bool>& may, std::vector<bool>& seen,
               size_t depth, std::vector<uint32_t>& out) const {
    if (seen[function] || depth == kMaxFunctionDepth) return;
    seen[function] = true;
    const uint32_t begin = code_.functions[function], end = end_of(function);
    auto goal = [&](uint32_t i) {
      const int64_t inner = callee(i);
      return goal_call(i, what) || (inner >= 0 && may[static_cast<size_t>(inner)]);
    };
    // Where a goal can still be reached: from the goals back.
    std::vector<std::vector<uint32_t>> from(end - begin);
    std::vector<uint32_t> todo;
    for (uint32_t i = begin; i < end; i += wide(i)) {
      const Next n = next(i, begin, end);
      for (size_t k = 0; k < n.count; ++k) from[n.at[k] - begin].push_back(i);
      if (goal(i)) todo.push_back(i);
    }
    std::vector<bool> can(end - begin, false);
    while (!todo.empty()) {
      const uint32_t i = todo.back();
      todo.pop_back();
      if (can[i - begin]) continue;
      can[i - begin] = true;
      todo.insert(todo.end(), from[i - begin].begin(), from[i - begin].end());
    }
    // What runs before any goal.
    std::vector<bool> before(end - begin, false);
    todo.assign(1, begin);
    while (!todo.empty()) {
      const uint32_t i = todo.back();
      todo.pop_back();
      if (before[i - begin]) continue;
      before[i - begin] = true;
      const Next n = next(i, begin, end);
      if (goal(i)) {
        // The last that can do it, and all of it depends on that function.
        const bool last = std::none_of(n.at, n.at + n.count, [&](uint32_t to) { return can[to - begin]; });
        if (last && calls_function(code_.insns[i]))
          ways_of(static_cast<size_t>(callee(i)), what, may, seen, depth + 1, out);
        continue;
      }
      if (n.count == 2 && can[n.at[0] - begin] != can[n.at[1] - begin]) out.push_back(i);
      for (size_t k = 0; k < n.count; ++k)
        if (can[n.at[k] - begin]) todo.push_back(n.at[k]);
    }
  }

  const ProgramCode& code_;
  std::vector<CallDoes> does_;  // by instruction
};

}  // namespace

CallDoes call_does(std::string_view name) {
  while (name.starts_with("_")) name.remove_prefix(1);
  if (name.starts_with("scx_bpf_dispatch"))
    return name.starts_with("scx_bpf_dispatch_nr_slots") || name.starts_with("scx_bpf_dispatch_cancel") ||
                   name.find("_set_") != name.npos
               ? CallDoes::kNothing
               : CallDoes::kPlaces;
  if (name.starts_with("scx_bpf_dsq_move"))
    return name.find("_set_") == name.npos ? CallDoes::kPlaces : CallDoes::kNothing;
  for (std::string_view places : {"scx_bpf_dsq_insert", "scx_bpf_consume", "scx_bpf_sub_dispatch"})
    if (name.starts_with(places)) return CallDoes::kPlaces;
  if (name == "bpf_timer_start") return CallDoes::kArms;
  for (std::string_view keeps :
       {"update_elem", "push_elem", "ringbuf_output", "ringbuf_submit", "perf_event_output", "bpf_list_push",
        "bpf_rbtree_add", "kptr_xchg", "ringbuf_commit"})
    if (name.find(keeps) != name.npos) return CallDoes::kKeeps;
  return CallDoes::kNothing;
}

ProgramWays find_ways(const ProgramCode& code, const std::function<CallDoes(uint32_t)>& does) {
  return Finder(code, does).run();
}

}  // namespace ktstr
