// The scheduler of one VM: its process, its attach, its callbacks, and what is known of its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "explain/user_end.h"
#include "reporter/program_lines.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "scx/load_failure.h"
#include "scx/scx_words.h"

namespace ktstr {

// A callback of the scheduler, as recorded when it was attached.
struct CallbackFact {
  std::string member;           // "enqueue"
  std::string name;             // "demo_enqueue"
  std::string where;            // "scx_demo.bpf.c:21", where its source begins; empty: unknown
  uint32_t id = 0;              // the kernel's, of its program
  std::vector<CodeLine> lines;  // ascending instructions
};

struct SchedulerRecord {
  // `stage`: the VM's, this event included.
  void fold(const EventBuffer& event, Stage stage);
  // A run-time error of the scheduler: the kernel aborted it.
  bool crashed() const { return crash.has_value() && crash->kind == CrashKind::SchedExtExit; }

  std::vector<std::string> argv;
  std::vector<CallbackFact> callbacks;
  std::optional<SchedulerAttachedT> attached;  // the first time
  // Its process attached it again after a detach: how often, and what the last time took, ns.
  uint32_t restarts = 0;
  uint64_t restart_ns = 0;
  bool detached_early = false;  // sched_ext left `enabled` before init was done with the workload
  std::string detached_state;
  std::optional<SchedulerExitedT> exit;       // of its process
  std::optional<Stage> stage_at_end;          // the VM's, when the scheduler was gone
  std::optional<CrashDetectedT> crash;        // the one that explains the run
  std::vector<CrashDetectedT> other_crashes;  // at most a few

  ScxWords words;  // dump, console and scheduler output about the scheduler's end
  LoadFailureScanner load;
  LoadFailureScanner reload;     // after a detach: its attempts to load itself anew
  UserEndScanner user_end;       // its own words about the end of its process
  std::string last_stderr_line;  // of the scheduler: its own complaint
  std::string usage_line;        // from before the attach: its complaint about its command line; empty: none
  std::string
      usage_tip;  // what it proposes instead: "a similar argument exists: '--slice-us'"; empty: nothing
  // Lines from before the attach in which libbpf, the verifier or the scheduler rejects the prototype of a kfunc.
  std::vector<std::string> kfunc_complaints;

 private:
  void gone(Stage stage) {
    if (!stage_at_end) stage_at_end = stage;
  }
  void fold_attached(const SchedulerAttached& seen);
  void fold_line(const SchedulerLine& line);
  void fold_crash(const CrashDetected& seen);
  void fold_program(const BpfProgram& program);

  size_t code_lines_ = 0;  // in `callbacks`
};

}  // namespace ktstr
