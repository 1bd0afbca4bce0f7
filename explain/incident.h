// Finds the crashes in a text: which lines belong to one exit of a scheduler, one fault of the kernel, one end of a program.
// A text may hold several boots and crashes, in any mixture of dmesg, journal and the scheduler's output. Streaming: what
// is kept is bounded, whatever is fed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/exit_sources.h"
#include "explain/text_line.h"
#include "explain/user_end.h"
#include "schemas/crash_generated.h"
#include "scx/kernel_fault_parser.h"
#include "scx/load_failure.h"
#include "scx/scx_dump.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {

enum class IncidentKind : uint8_t {
  kExit,     // sched_ext disabled a scheduler, or a part of its dump
  kFault,    // the kernel's own trouble
  kProcess,  // a scheduler did not load, or its program ended
  kHeader,   // the head that crash(8) prints of a kernel's memory dump
};

struct Incident {
  IncidentKind kind = IncidentKind::kExit;
  uint64_t line = 0;        // number of its first line in the text, from 1
  std::string when;         // stamp of that line, as it stands there; empty: none
  std::string kernel;       // release, as far as it was told before or in it
  std::string running_ops;  // the scheduler that was enabled last; empty: not told

  // kExit
  ScxExit exit;                         // what all sources tell
  std::shared_ptr<const ScxDump> dump;  // null: the text has no dump of it
  bool on_console = false;              // the kernel's log tells it

  // kFault
  KernelFaultT fault;
  std::optional<KernelFaultT> interrupted;  // the message that it broke off
  std::string interrupted_exit;             // or: message of the exit whose backtrace was being printed
  std::string interrupted_ops;

  // kProcess
  std::optional<LoadFailure> load;
  std::optional<UserEnd> end;
  std::string last_words;  // last line of the program that is none of these
  std::string
      before;  // the orderly exit that its scheduler had before: "reason (message)"; empty: none was told

  // kHeader
  std::string panic, command;
  int cpu = -1, pid = 0;
};

// Which of the log's streams a line is of.
enum class LineRole : uint8_t { kSkipped, kKernel, kDump, kProcess };

class IncidentScanner {
 public:
  IncidentScanner();
  ~IncidentScanner();

  // A line as it stands in the text, less its end. `when` and `process` of a journal's fields may be given.
  LineRole feed(std::string_view raw, Origin origin = Origin::kUnknown, std::string_view when = {});
  void finish();
  std::optional<Incident> take();

  uint64_t lines() const { return lines_; }
  uint64_t orderly_exits() const { return orderly_; }  // of schedulers, without an error
  // The first few of them: "lavd: unregistered from user space", "…: cpu 7 going offline, exiting scheduler".
  const std::vector<std::string>& orderly() const { return orderly_texts_; }
  const std::string& kernel() const { return kernel_; }
  // Anything of sched_ext or of a kernel's trouble was in the text.
  bool anything() const { return anything_; }

 private:
  LineRole process(std::string_view raw, Origin origin, std::string_view when, uint64_t number, bool hit);
  void note_orderly(const ScxExit& exit);
  bool kernel_line(const TextLine& line, std::string_view text);
  bool dump_line(const TextLine& line, std::string_view text, bool hit);
  bool process_line(const TextLine& line, std::string_view text, Origin from, bool hit);
  bool header_line(std::string_view text);
  void rotate_console();
  void rotate_dump(std::string_view previous);
  void start_dump();
  void take_faults();
  void emit_process();
  void emit_header();
  void flush_exits();
  bool another_program(std::string_view text) const;
  void boundary();
  void new_boot(std::string_view release);
  Incident base(uint64_t line, std::string_view when) const;

  std::deque<Incident> ready_;
  uint64_t lines_ = 0, orderly_ = 0;
  std::vector<std::string> orderly_texts_;
  uint64_t active_until_ = 0;
  bool anything_ = false;
  std::array<std::string, 3> recent_;  // lines before, while nothing interests
  size_t recent_count_ = 0;

  size_t blank_run_ = 0;
  uint64_t number_ = 0;  // of the line that is processed
  std::string when_, previous_, escapes_;
  std::string kernel_, running_ops_;

  KernelFaultParser faults_;
  struct FaultStart {
    uint64_t fed, line;
    std::string when;
  };
  std::deque<FaultStart> fault_starts_;
  std::string console_process_;  // who printed the kernel's word of an exit
  std::string fault_process_;    // who printed the first line of the open fault
  std::optional<KernelFaultT> last_fault_;

  std::vector<std::unique_ptr<ExitSource>> exits_;  // complete but for merging
  std::unique_ptr<ExitSource> console_, dump_;
  std::string console_message_at_fault_;

  LoadFailureScanner load_;
  UserEndScanner end_;
  uint64_t process_first_ = 0, process_last_ = 0;
  std::string process_when_, process_name_, last_words_;
  Origin process_origin_ = Origin::kUnknown;
  bool process_over_ = false;

  std::optional<Incident> header_;
};

}  // namespace ktstr
