// Why a scheduler did not load, taken from its log: the program that the verifier rejected, the offending
// access and its source line, or the symbol that this kernel does not have. Reads the messages of libbpf,
// however they are prefixed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

struct LoadFailure {
  std::string program;  // refused program; empty when something else than a program failed
  std::string reason;   // "R1 invalid mem access 'scalar'", "extern (func ksym) 'x': not found in kernel ..."
  std::string insn;     // verifier's last instruction line: "23: (79) r1 = *(u64 *)(r1 +0)"
  std::string source;   // source text of that instruction
  std::string where;    // "scx_x.bpf.c:61"
};

// Fed every line of the scheduler's log; keeps a few strings.
class LoadFailureScanner {
 public:
  void line(std::string_view text);
  // The first failure that the log tells of.
  std::optional<LoadFailure> failure() const;

 private:
  void verifier_line(std::string_view text);

  std::optional<LoadFailure> refused_;
  std::string missing_;  // first "libbpf: ...": unknown symbol, failed map, failed attach
  LoadFailure current_;
  std::string load_error_;  // errno text of the failed load
  bool in_log_ = false;
  bool log_over_ = false;  // "processed N insns" was seen
};

}  // namespace ktstr
