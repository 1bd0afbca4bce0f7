// Reads why sched_ext disabled a scheduler. The kernel tells it in two forms: the head of the dump (trace lines,
// or the scheduler's own print of them), and a short form on the console. scx_words.h makes one result of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"

namespace ktstr {

struct ScxExit {
  uint64_t kind = 0;   // SCX exit kind; 0: not told
  std::string reason;  // "scx_bpf_error"
  std::string message;
  std::string ops_name;
  std::string comm;  // the task that triggered it
  int pid = 0;
  int cpu = -1;
  uint64_t guest_ns = 0;
  std::vector<ChainFrameT> backtrace;

  // The kind that was told, else the one that has this reason; 0: neither.
  uint64_t known_kind() const;
  // An orderly end (unregistered, SysRq, a parent that exits) is not a crash. Where the kind is not told, the
  // kernel's text for each kind is known (scx/vocabulary.h); of an unknown text only errors carry a backtrace.
  bool is_error() const;
};

// Where a dump line came from: the trace event's task and CPU tell the CPU on kernels that do not print it.
struct DumpContext {
  int pid = -1;
  int cpu = -1;
  uint64_t guest_ns = 0;
};

// Lines of a dump: "[OPS: root]", "COMM[PID] triggered exit kind KIND[ on CPU N]:", "  REASON (MESSAGE)", "",
// "Backtrace:", frames, "". Also takes the "EXIT: REASON (MESSAGE)" line that schedulers print by themselves.
class ScxExitParser {
 public:
  void feed(std::string_view line, const DumpContext& context = {});
  // The first error seen, else the first exit; nullopt: none.
  std::optional<ScxExit> result() const;
  // The same without a copy, until the next line. Null: none.
  const ScxExit* peek() const;
  // Of the latest exit with this reason; "": it has none, or there is no such exit.
  std::string last_message(std::string_view reason) const;

 private:
  enum class Expect { kHeader, kReason, kMessageRest, kBacktrace, kFrames };
  bool take_header(std::string_view line, const DumpContext& context);
  void take_reason(std::string_view line);
  void take_exit_line(std::string_view line);

  Expect expect_ = Expect::kHeader;
  std::string previous_;  // the line before a header may name the scheduler
  std::string reason_line_;
  std::vector<ScxExit> exits_;
};

// `sched_ext: BPF scheduler "NAME" REST`; 7.3 has "sub-scheduler" too. Names point into the text.
struct OpsLine {
  std::string_view name;
  std::string_view
      rest;  // "enabled", "disabled (runtime error)", "errored, disabling"; empty: the line is cut off
  bool sub = false;
};
std::optional<OpsLine> parse_ops_line(std::string_view text);

// Console lines less their stamp: `sched_ext: BPF scheduler "NAME" disabled (REASON)`, `sched_ext: NAME:
// MESSAGE`, frames. Before 6.12: `… "NAME" errored, disabling`, `sched_ext: REASON (MESSAGE)`, frames.
class ScxConsoleParser {
 public:
  void feed(std::string_view line, uint64_t guest_ns);
  std::optional<ScxExit> result() const;
  const ScxExit* peek() const;
  std::optional<ScxExit> last() const;

 private:
  void take_orphan(std::string_view line, uint64_t guest_ns);
  static bool begins_trace(std::string_view line);

  bool open_ = false;     // lines of the last exit may still come
  int others_ = 0;        // lines since its last frame that are none of it
  bool errored_ = false;  // the next line tells reason and message of the last exit
  std::optional<ScxExit> orphan_;
  std::vector<ScxExit> exits_;
};

// A console line less its stamp(s): "[    1.234567] text", "[    1.234567][   T12] text"; guest_ns 0 without
// one.
struct StampedText {
  uint64_t guest_ns = 0;
  std::string_view text;
};
StampedText split_stamp(std::string_view line);

}  // namespace ktstr
