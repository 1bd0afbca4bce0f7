// What is known of one VM (the primary, or the last try of the repro), folded from its events. Bounded,
// whatever the guest says: texts are kept as far as a report may print them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reporter/line_log.h"
#include "reporter/monitor_summary.h"
#include "reporter/scenario_record.h"
#include "reporter/stall_watch.h"
#include "reporter/timeline.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/load_failure.h"
#include "workload/worker_stats.h"
#include "scx/scx_words.h"

namespace ktstr {

// A callback of the scheduler, as recorded when it was attached.
struct CallbackFact {
  std::string member;  // "enqueue"
  std::string name;    // "demo_enqueue"
  std::string where;   // "scx_demo.bpf.c:21", where its source begins; empty: unknown
};

struct VmRecord {
  struct Options {
    bool primary = true;   // the primary's texts are kept whole where they fit, of a repro only the tails
    bool verbose = false;  // keep the whole console
    bool scx = true;       // the test runs a sched_ext scheduler
    MonitorThresholds thresholds = {};
  };
  explicit VmRecord(Options options);

  void fold(const EventBuffer& event);
  // The test that it runs, while it lives; before the first event.
  void expect(const TestSpecT& spec) {
    spec_ = &spec;
    workers.expect(spec);
  }
  // No event follows. Called once, before a report is made.
  void finish();

  bool reached(Stage s) const { return stage >= s; }
  // A run-time error of the scheduler: the kernel aborted it.
  bool crashed() const { return crash.has_value() && crash->kind == CrashKind::SchedExtExit; }

  Options options;
  uint8_t attempt = 0;
  bool started = false;
  VmStartedT facts;
  std::optional<VmExitedT> exited;
  bool settled = false;
  std::vector<std::string> missing;  // helpers that did not deliver

  Stage stage = Stage::NotStarted;
  bool workload_started = false, workload_finished = false;  // a guest that gives up finishes without either
  std::optional<Stage> stage_at_end;                         // the stage when the scheduler was gone
  std::optional<GuestHelloT> hello;
  std::optional<GuestFailedT> failed;
  std::optional<GuestFinishedT> finished;
  std::optional<CollectorDrainedT> drained;

  TailBuffer console_tail;
  HeadTail console;  // verbose only
  uint64_t console_lines = 0;
  LineLog scheduler_log;
  HeadTail dump;
  ScxWords words;  // dump, console and scheduler output about the scheduler's end
  LoadFailureScanner load;
  std::string last_stderr_line;  // of the scheduler: its own complaint

  std::vector<std::string> scheduler_argv;
  std::vector<CallbackFact> callbacks;
  std::optional<SchedulerAttachedT> attached;
  bool detached_early = false;  // sched_ext left `enabled` before init was done with the workload
  std::string detached_state;
  std::optional<SchedulerExitedT> scheduler_exit;
  std::optional<CrashDetectedT> crash;        // the one that explains the run
  std::vector<CrashDetectedT> other_crashes;  // at most a few

  WorkerStats workers;
  ScenarioRecord scenario;
  bool monitor_attached = false;
  std::vector<std::string> monitor_absent;
  std::string monitor_unavailable;
  std::optional<MonitorStoppedT> monitor_stopped;
  MonitorSummary monitor;
  StallWatch waits;
  std::optional<GuestFrozenT> frozen;  // at the scheduler's death: the last one
  std::vector<MapWrittenT> map_writes;
  std::optional<WatchdogSetT> watchdog;
  Timeline timeline;
  std::optional<Moment> scenario_end;  // of the workload: its end, or the scheduler's

 private:
  const TestSpecT* spec_ = nullptr;
  void console_line(std::string_view text);
  void reach(Stage s, const EventBuffer& event);
  void scheduler_gone() {
    if (!stage_at_end) stage_at_end = stage;
  }
  void fold_scenario(const EventBuffer& event);
  void fold_crash(const CrashDetected& seen);
  void fold_program(const BpfProgram& program);
  void fold_scheduler(const EventBuffer& event);
  void fold_monitor(const EventBuffer& event);
};

}  // namespace ktstr
