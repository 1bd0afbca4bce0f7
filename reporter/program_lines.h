// Source lines of the scheduler's callbacks, by instruction; and what the instructions that the monitor judged say in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

struct VmRecord;

struct CodeLine {
  uint32_t insn = 0;  // the first that it covers
  std::string file;   // without folders
  uint32_t line = 0;
  std::string text;
  std::string function;  // of the program; empty: not known
};

// Ways out of the callback of that member on which nothing happens to its task, each as "scx_x.bpf.c:25: if (!tctx) return";
// with the values that the variables in it had. Empty: none, or not known.
enum class WaysOf : uint8_t {
  kDropped,   // the task is not placed in a DSQ, and nothing is stored
  kUnplaced,  // nothing is placed in, or moved from, a DSQ
};
std::vector<std::string> ways_out(const VmRecord& vm, std::string_view member, WaysOf what);

// Ways out of a timer's callback on which it does not start the timer again: "refill() after scx_x.bpf.c:24: if (!n) return".
std::vector<std::string> timer_ends(const VmRecord& vm);

// Where that callback inserts into, or moves from, a DSQ: "at scx_x.bpf.c:18: scx_bpf_dsq_move_to_local(dsq)"; "after …": in a
// wrapper of a header that is inlined behind that statement.
std::vector<std::string> placing_lines(const VmRecord& vm, std::string_view member);

// "after A, after B and 2 more": of at most `most` of them.
std::string listed(const std::vector<std::string>& places, std::string_view before, size_t most = 3);

}  // namespace ktstr
