#include "reporter/vm_record.h"

#include "schemas/unpack.h"

namespace ktstr {

VmRecord::VmRecord(const Options& options) : text(options.primary, options.verbose) {
  monitor.summary.expect_scx(options.scx);
  monitor.summary.set_thresholds(options.thresholds);
}

void VmRecord::fold(const EventBuffer& event) {
  const Stage before = boot.stage;
  boot.fold(event);
  kernel.fold(event, boot.stage);
  scheduler.fold(event, boot.stage);
  const bool in_workload = boot.stage == Stage::WorkloadStarted && !scheduler.detached_early;
  auto load = monitor.fold(event, in_workload);
  if (event.type() == Payload::MonitorSample) timeline.sample(load);
  if (auto* report = event.as<WorkerReport>()) workers.fold(unpack<WorkerReportT>(*report));
  scenario.fold(event, spec_);
  actions.fold(event, spec_);
  tell_timeline(event, before);
  text.fold(event);
}

void VmRecord::end_scenario_early(const Moment& at, bool begin_phase) {
  if (boot.stage != Stage::WorkloadStarted) return;
  if (begin_phase) timeline.begin("after the exit", at);
  if (!scenario_end) scenario_end = at;
}

// The marks and phases of the timeline, in words. Called before `text` has the event: the first line of a dump is the
// one that finds no dump.
void VmRecord::tell_timeline(const EventBuffer& event, Stage before) {
  const Moment now = Moment::of(event);
  if (boot.stage > before && event.type() != Payload::VmExited) {
    if (boot.stage == Stage::SchedulerStarted) timeline.begin("attach", now);
    if (boot.stage == Stage::WorkloadStarted && !timeline.find("workload")) {
      timeline.begin("workload", now);
      timeline.zero(now);
    }
    if (boot.stage == Stage::WorkloadFinished) {
      timeline.begin("teardown", now);
      if (!scenario_end) scenario_end = now;
    }
  }
  switch (event.type()) {
    case Payload::VmStarted:
      timeline.begin("boot", now);
      return timeline.zero(now);
    case Payload::VmExited:
      return timeline.end(now);
    case Payload::PhaseStarted: {
      const std::string_view name = str(event.as<PhaseStarted>()->name());
      // Begins before the workers are started; the stage is reached when they run.
      if (name == "workload" && !timeline.find(name)) timeline.zero(now);
      return timeline.begin(name, now);
    }
    case Payload::GuestFailed:
      return timeline.mark(now, "init gave up: " + boot.failed->error);
    case Payload::DumpLine:
      if (!text.dump.empty()) return;
      timeline.mark(now, "the kernel dumps sched_ext's state: the scheduler is aborted");
      return end_scenario_early(now, true);
    case Payload::SchedulerAttached:
      if (event.as<SchedulerAttached>()->restart() == 0) return timeline.mark(now, "sched_ext enabled");
      timeline.mark(now, "sched_ext enabled again");
      if (boot.stage != Stage::WorkloadStarted) return;
      scenario_end.reset();
      return timeline.begin("after the restart", now);
    case Payload::SchedulerDetached:
      timeline.mark(now, "sched_ext " + scheduler.detached_state);
      return end_scenario_early(now, text.dump.empty());
    case Payload::SchedulerExited:
      return timeline.mark(now, scheduler.exit->requested ? "scheduler's process ended, as asked"
                                                          : "scheduler's process ended by itself");
    case Payload::GuestFrozen: {
      const auto* seen = event.as<GuestFrozen>();
      std::string what = seen->held_ns() ? "the monitor paused the VM and copied the scheduler's state"
                                         : "the monitor copied the scheduler's state without a pause";
      if (seen->observed())
        what = "the queues were read, as asked for, " + std::string(str(seen->reason()).substr(0, 512));
      if (seen->early()) what += ": " + std::string(str(seen->reason()).substr(0, 512));
      return timeline.mark(now, what);
    }
    case Payload::MapWritten: {
      const auto write = unpack<MapWrittenT>(*event.as<MapWritten>());
      const std::string what = write.map + (write.field.empty() ? "" : " " + write.field);
      return timeline.mark(now, write.error.empty()
                                    ? what + " written: " + write.before + " -> " + write.after
                                    : what + " not written: " + write.error);
    }
    case Payload::OpApplied: {
      const auto* op = event.as<OpApplied>();
      const std::string error(str(op->error()).substr(0, 512));
      return timeline.mark(now, "step " + std::to_string(op->step()) + ": " +
                                    std::string(str(op->op()).substr(0, 512)) +
                                    (error.empty() ? "" : ": failed: " + error));
    }
    case Payload::PayloadStarted:
      return timeline.mark(
          now, "payload " + std::string(str(event.as<PayloadStarted>()->name()).substr(0, 128)) + " started");
    case Payload::PayloadExited: {
      const auto exit = unpack<PayloadExitedT>(*event.as<PayloadExited>());
      return timeline.mark(now, "payload " + exit.name.substr(0, 128) + ": " + payload_end_text(exit));
    }
    default:
      return;
  }
}

}  // namespace ktstr
