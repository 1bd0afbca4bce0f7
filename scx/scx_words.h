// All that one VM says about the end of its scheduler, and the one result of it. The collector makes
// CrashDetected of it while the VM runs; the reporter reads a log with it in which no CrashDetected came.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "scx/scx_dump.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {

// The three sources differ in what they tell and in whether they arrive: the sched_ext dump of the trace buffer
// is best, then the console, then what the scheduler prints itself. What one does not tell is taken from the next.
class ScxWords {
 public:
  // DumpLine, ConsoleLine and SchedulerLine of one VM, in order; others are ignored.
  void fold(const EventBuffer& event);

  const ScxDump& dump() const { return dump_; }
  // The first error, else the latest orderly end: a scheduler may leave, load itself anew and leave again.
  std::optional<ScxExit> console_exit() const;

  struct Error {
    ScxExit exit;
    std::string_view source;  // the best that told it: "sched_ext_dump", "console", "scheduler log"
  };
  // nullopt: nothing was said, or the end was orderly.
  std::optional<Error> error() const;
  // What the scheduler prints of an exit with this reason: "EXIT: REASON (MESSAGE)". The console keeps the message
  // of an orderly exit to itself. The latest of them; "": it printed none.
  std::string printed_message(std::string_view reason) const;

 private:
  ScxDump dump_;
  ScxConsoleParser console_;
  ScxExitParser stderr_, stdout_;
};

// Without a backtrace's source lines, which the collector adds before.
CrashDetectedT to_crash(ScxWords::Error error);

}  // namespace ktstr
