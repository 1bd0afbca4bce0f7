// Why a scheduler did not load or attach, taken from its log: the program that the verifier rejected, the offending
// access and its source line, or what this kernel does not have. Reads the messages of libbpf and of the verifier,
// however they are prefixed, also where the beginning or the end of the verifier's log is cut off.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ktstr {

enum class LoadCause : uint8_t {
  kOther,
  kErrno,          // nothing but an errno
  kMap,            // a map could not be created
  kPermission,     // EPERM
  kNotSupported,   // EOPNOTSUPP, and no reason for it
  kBusy,           // attach: EBUSY, another scheduler
  kAttachTooBig,   // attach: E2BIG, a member of sched_ext_ops is above the kernel's limit
  kAttachInvalid,  // attach: EINVAL, a member of sched_ext_ops has a value that the kernel does not take
  kAttachNull,     // attach returned NULL, and no errno
  kNoBtf,          // the kernel has no BTF
  kMissingKfunc,
  kMissingMember,    // of a struct_ops type
  kMissingVariable,  // a kernel variable, or a kconfig value
  kHelper,           // a helper that this program may not call, or that is not configured
  kTooLarge,         // the verifier gave up after its limit of instructions
  kVerifier,         // another objection of the verifier
  kCutLog,           // a verifier log without its objection
  kUnusedProgram,    // a struct_ops program that no member of a struct_ops map refers to
  kPrototype,        // a kfunc whose prototype in the kernel's BTF is another one
  kNoSchedExt,       // the kernel's BTF has no sched_ext_ops
  kMissingType,      // a function or type that a program attaches to or relocates against
  kMissingSymbol,    // a kernel symbol without an address in kallsyms
  kNoKconfig,        // libbpf cannot read the kernel's configuration
  kProbeAttach,      // a program beside the struct_ops map (fentry, tracepoint, perf) could not be attached
};

struct LoadFailure {
  LoadCause cause = LoadCause::kOther;
  std::string
      program;  // refused program; empty when something else than a program failed, or its name is cut off
  std::string reason;  // "R1 invalid mem access 'scalar'", "extern (func ksym) 'x': not found in kernel ..."
  std::string insn;    // verifier's last instruction line: "23: (79) r1 = *(u64 *)(r1 +0)"
  std::string source;  // source text of that instruction
  std::string where;   // "scx_x.bpf.c:61"
  std::string symbol;  // kfunc, member, variable, helper or map
  std::string
      function;  // global function that the verifier was checking; empty: the program itself, or not told
  // Where `where` is in another file than the program's head (an inline wrapper), or at its exit: the last statement of the
  // program's own file before it, "file.c:5: text".
  std::string own;
  std::string
      taken;  // where a reference that is not released was taken: "file.c:5: text"; empty: another objection
  std::string error;    // errno of the failed load, as it was printed: "-EACCES"
  bool attach = false;  // it was loaded: the attach failed
};

// Fed every line of the scheduler's log; keeps a few strings.
class LoadFailureScanner {
 public:
  // True: the line is part of a load failure's text.
  bool line(std::string_view text);
  // A line that holds none of the words of a load failure: only kept for a log whose beginning is cut off.
  void pass(std::string_view text);
  bool in_log() const { return in_log_; }
  // What follows is no part of the verifier's log: it was cut off.
  void cut() {
    if (in_log_) end_log();
  }
  // A cause was told that ends a load: what comes after it is another program's.
  bool decided() const;
  // The line tells another such cause by itself, or is verifier text without the head of its log.
  bool other_cause(std::string_view text) const;
  // The one that explains the others: the first of the most telling sort.
  std::optional<LoadFailure> failure() const;

 private:
  void begin_log(std::string program);
  void end_log();
  void verifier_line(std::string_view text);
  void note_call(std::string_view insn);
  void find_reference();
  std::string statement() const;
  void offer(LoadFailure failure);
  bool libbpf_line(std::string_view message);
  bool process_line(std::string_view text);

  std::optional<LoadFailure> best_;
  LoadFailure current_;
  // Of current_: the file of its first statement; the last statement of that file; how many so far.
  std::string head_file_, own_;
  size_t statements_ = 0;
  std::vector<std::pair<uint32_t, std::string>>
      calls_;                              // of current_: instructions that call, and their "file.c:5: text"
  std::string load_program_, load_error_;  // of "prog 'x': … load failed: ERRNO", before or after its log
  std::string stage_;                      // "load", "attach": what the program says it failed to do
  std::array<std::string, 2> last_;        // lines before, for a log whose beginning is cut off
  bool in_log_ = false;
  bool headless_ = false;  // its beginning is cut off: any line may end it
  bool log_over_ = false;  // "processed N insns" was seen
  bool followed_ = false;  // the line after the objection was taken
};

}  // namespace ktstr
