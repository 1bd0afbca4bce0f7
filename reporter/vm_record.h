// What is known of one VM (the primary, or the last try of the repro), folded from its events. Bounded,
// whatever the guest says: texts are kept as far as a report may print them.
#pragma once

#include <optional>

#include "reporter/action_record.h"
#include "reporter/boot_record.h"
#include "reporter/kernel_record.h"
#include "reporter/monitor_record.h"
#include "reporter/scenario_record.h"
#include "reporter/scheduler_record.h"
#include "reporter/text_record.h"
#include "reporter/timeline.h"
#include "workload/worker_stats.h"

namespace ktstr {

struct TestSpecT;

struct VmRecord {
  struct Options {
    bool primary = true;   // the primary's texts are kept whole where they fit, of a repro only the tails
    bool verbose = false;  // keep the whole console
    bool scx = true;       // the test runs a sched_ext scheduler
    MonitorThresholds thresholds = {};
  };
  explicit VmRecord(const Options& options);

  void fold(const EventBuffer& event);
  // The test that it runs, while it lives; before the first event.
  void expect(const TestSpecT& spec) {
    spec_ = &spec;
    workers.expect(spec);
  }
  // No event follows. Called once, before a report is made.
  void finish() { text.finish(); }

  bool reached(Stage s) const { return boot.reached(s); }
  bool crashed() const { return scheduler.crashed(); }

  BootRecord boot;
  KernelRecord kernel;
  SchedulerRecord scheduler;
  MonitorRecord monitor;
  TextRecord text;
  WorkerStats workers;
  ScenarioRecord scenario;
  ActionRecord actions;
  Timeline timeline;
  std::optional<Moment> scenario_end;  // of the workload: its end, or the scheduler's

 private:
  void tell_timeline(const EventBuffer& event, Stage before);
  // The scheduler ended while the workload ran.
  void end_scenario_early(const Moment& at, bool begin_phase);

  const TestSpecT* spec_ = nullptr;
};

}  // namespace ktstr
