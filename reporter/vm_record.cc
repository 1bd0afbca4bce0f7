#include "reporter/vm_record.h"

#include <utility>

#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/unpack.h"

namespace ktstr {
namespace {

constexpr size_t kDiagnosticsLines = 20;  // of the console, as the report shows
constexpr size_t kReproTail = 40;
constexpr HeadTail::Limits kReproLimits{.head_lines = 0, .tail_lines = kReproTail};
constexpr HeadTail::Limits kLogLimits{.head_lines = 1000, .tail_lines = 1000};
constexpr HeadTail::Limits kDumpLimits{.head_lines = 8000, .tail_lines = 2000};
constexpr HeadTail::Limits kConsoleLimits{.head_lines = 10000, .tail_lines = 10000};

}  // namespace

VmRecord::VmRecord(Options o)
    : options(o),
      console_tail(o.primary ? kDiagnosticsLines : kReproTail),
      console(o.verbose ? kConsoleLimits : HeadTail::Limits{}),
      scheduler_log(o.primary ? kLogLimits : kReproLimits),
      dump(o.primary ? kDumpLimits : kReproLimits) {
  monitor.expect_scx(o.scx);
  monitor.set_thresholds(o.thresholds);
}

void VmRecord::finish() { scheduler_log.finish(); }

void VmRecord::reach(Stage s, const EventBuffer& event) {
  if (s > Stage::GuestFinished) return;  // no such stage: the guest is not trusted
  if (s == Stage::WorkloadStarted) workload_started = true;
  if (s == Stage::WorkloadFinished) workload_finished = true;
  if (s <= stage) return;
  stage = s;
  Moment now = Moment::of(event);
  if (s == Stage::SchedulerStarted) timeline.begin("attach", now);
  if (s == Stage::WorkloadStarted) {
    timeline.begin("workload", now);
    timeline.zero(now);
  }
  if (s == Stage::WorkloadFinished) {
    timeline.begin("teardown", now);
    if (!scenario_end) scenario_end = now;
  }
}

void VmRecord::fold(const EventBuffer& event) {
  switch (event.type()) {
    case Payload::ConsoleLine:
      if (stage == Stage::NotStarted) reach(Stage::KernelStarted, event);
      words.fold(event);
      return console_line(str(event.as<ConsoleLine>()->text()));
    case Payload::DumpLine: {
      std::string_view text = str(event.as<DumpLine>()->text());
      if (dump.empty()) {
        scheduler_gone();
        timeline.mark(Moment::of(event), "the kernel dumps sched_ext's state: the scheduler is aborted");
        if (stage == Stage::WorkloadStarted) {
          timeline.begin("after the exit", Moment::of(event));
          if (!scenario_end) scenario_end = Moment::of(event);
        }
      }
      dump.push(std::string(text));
      words.fold(event);
      return;
    }
    case Payload::OpApplied:
    case Payload::PayloadStarted:
    case Payload::PayloadLine:
    case Payload::PayloadExited:
    case Payload::CheckReported:
      return fold_scenario(event);
    case Payload::WorkerReport:
      return workers.fold(unpack<WorkerReportT>(*event.as<WorkerReport>()));
    case Payload::MonitorAttached:
    case Payload::MonitorUnavailable:
    case Payload::MonitorSample:
    case Payload::MonitorStopped:
    case Payload::GuestFrozen:
    case Payload::MapWritten:
    case Payload::WatchdogSet:
      return fold_monitor(event);
    case Payload::SchedulerLine:
    case Payload::SchedulerStarted:
    case Payload::SchedulerAttached:
    case Payload::SchedulerDetached:
    case Payload::SchedulerExited:
      return fold_scheduler(event);
    case Payload::VmStarted:
      started = true;
      attempt = event->stamp()->attempt();
      facts = unpack<VmStartedT>(*event.as<VmStarted>());
      timeline.begin("boot", Moment::of(event));
      timeline.zero(Moment::of(event));
      return;
    case Payload::VmExited:
      exited = unpack<VmExitedT>(*event.as<VmExited>());
      if (exited->last_stage > stage) stage = exited->last_stage;
      timeline.end(Moment::of(event));
      return;
    case Payload::VmSettled:
      settled = true;
      if (auto* list = event.as<VmSettled>()->missing())
        for (const auto* who : *list) missing.push_back(who->str());
      return;
    case Payload::GuestHello:
      reach(Stage::InitStarted, event);
      hello = unpack<GuestHelloT>(*event.as<GuestHello>());
      return;
    case Payload::StageReached:
      return reach(event.as<StageReached>()->stage(), event);
    case Payload::GuestFailed:
      if (!failed) failed = unpack<GuestFailedT>(*event.as<GuestFailed>());
      timeline.mark(Moment::of(event), "init gave up: " + failed->error);
      return;
    case Payload::PhaseStarted:
      return timeline.begin(str(event.as<PhaseStarted>()->name()), Moment::of(event));
    case Payload::GuestFinished:
      reach(Stage::GuestFinished, event);
      finished = unpack<GuestFinishedT>(*event.as<GuestFinished>());
      return;
    case Payload::CollectorDrained:
      drained = unpack<CollectorDrainedT>(*event.as<CollectorDrained>());
      return;
    case Payload::BpfProgram:
      return fold_program(*event.as<BpfProgram>());
    case Payload::CrashDetected:
      return fold_crash(*event.as<CrashDetected>());
    default:
      return;
  }
}

void VmRecord::console_line(std::string_view text) {
  ++console_lines;
  console_tail.push(text);
  if (options.verbose) console.push(std::string(text));
}

void VmRecord::fold_scheduler(const EventBuffer& event) {
  Moment now = Moment::of(event);
  switch (event.type()) {
    case Payload::SchedulerLine: {
      auto* line = event.as<SchedulerLine>();
      std::string_view text = str(line->text());
      scheduler_log.push(text);
      words.fold(event);
      if (!attached) load.line(text);
      if (line->stream() == OutputStream::Stderr && text.find_first_not_of(" \t\r") != text.npos)
        last_stderr_line.assign(text.substr(0, 512));
      return;
    }
    case Payload::SchedulerStarted:
      reach(Stage::SchedulerStarted, event);
      scheduler_argv.clear();
      if (auto* argv = event.as<SchedulerStarted>()->argv())
        for (const auto* arg : *argv) scheduler_argv.push_back(arg->str());
      return;
    case Payload::SchedulerAttached:
      reach(Stage::SchedulerAttached, event);
      attached = unpack<SchedulerAttachedT>(*event.as<SchedulerAttached>());
      timeline.mark(now, "sched_ext enabled");
      return;
    case Payload::SchedulerDetached: {
      std::string_view state = str(event.as<SchedulerDetached>()->state()).substr(0, 64);
      timeline.mark(now, "sched_ext " + std::string(state));
      if (stage < Stage::WorkloadFinished) {
        detached_early = true;
        scheduler_gone();
        if (stage == Stage::WorkloadStarted && dump.empty()) timeline.begin("after the exit", now);
        if (stage == Stage::WorkloadStarted && !scenario_end) scenario_end = now;
      }
      detached_state = state;
      return;
    }
    default:
      scheduler_exit = unpack<SchedulerExitedT>(*event.as<SchedulerExited>());
      if (!scheduler_exit->requested) scheduler_gone();
      timeline.mark(now, scheduler_exit->requested ? "scheduler's process ended, as asked"
                                                   : "scheduler's process ended by itself");
  }
}

void VmRecord::fold_monitor(const EventBuffer& event) {
  switch (event.type()) {
    case Payload::MonitorSample:
      waits.fold(*event.as<MonitorSample>(), event->stamp()->host_ns());
      timeline.sample(monitor.fold(*event.as<MonitorSample>(), event->stamp()->host_ns(),
                                   stage == Stage::WorkloadStarted && !detached_early));
      return;
    case Payload::GuestFrozen:
      frozen = unpack<GuestFrozenT>(*event.as<GuestFrozen>());
      timeline.mark(Moment::of(event), frozen->held_ns
                                           ? "the monitor paused the VM and copied the scheduler's state"
                                           : "the monitor copied the scheduler's state without a pause");
      return;
    case Payload::MapWritten: {
      constexpr size_t kMaxWrites = 1024;
      auto write = unpack<MapWrittenT>(*event.as<MapWritten>());
      std::string what = write.map + (write.field.empty() ? "" : " " + write.field);
      timeline.mark(Moment::of(event), write.error.empty()
                                           ? what + " written: " + write.before + " -> " + write.after
                                           : what + " not written: " + write.error);
      if (map_writes.size() < kMaxWrites) map_writes.push_back(std::move(write));
      return;
    }
    case Payload::WatchdogSet:
      watchdog = unpack<WatchdogSetT>(*event.as<WatchdogSet>());
      return;
    case Payload::MonitorAttached:
      monitor_attached = true;
      if (auto* absent = event.as<MonitorAttached>()->absent())
        for (const auto* fact : *absent) monitor_absent.push_back(fact->str());
      return;
    case Payload::MonitorUnavailable:
      monitor_unavailable = std::string(str(event.as<MonitorUnavailable>()->reason()));
      return;
    default:
      monitor_stopped = unpack<MonitorStoppedT>(*event.as<MonitorStopped>());
      monitor.fold(*event.as<MonitorStopped>(), event->stamp()->host_ns());
  }
}

void VmRecord::fold_scenario(const EventBuffer& event) {
  Moment now = Moment::of(event);
  scenario.fold(event, spec_);
  if (event.type() == Payload::OpApplied) {
    auto* op = event.as<OpApplied>();
    std::string error(str(op->error()).substr(0, 512));
    timeline.mark(now, "step " + std::to_string(op->step()) + ": " +
                           std::string(str(op->op()).substr(0, 512)) +
                           (error.empty() ? "" : ": failed: " + error));
  } else if (event.type() == Payload::PayloadStarted) {
    timeline.mark(
        now, "payload " + std::string(str(event.as<PayloadStarted>()->name()).substr(0, 128)) + " started");
  } else if (event.type() == Payload::PayloadExited) {
    auto exit = unpack<PayloadExitedT>(*event.as<PayloadExited>());
    timeline.mark(now, "payload " + exit.name.substr(0, 128) + ": " + payload_end_text(exit));
  }
}

void VmRecord::fold_crash(const CrashDetected& seen) {
  auto now = unpack<CrashDetectedT>(seen);
  if (!crash) {
    crash = std::move(now);
  } else if (crash->kind != CrashKind::SchedExtExit && now.kind == CrashKind::SchedExtExit) {
    std::swap(*crash, now);
    other_crashes.push_back(std::move(now));
  } else if (other_crashes.size() < 8) {
    other_crashes.push_back(std::move(now));
  }
}

void VmRecord::fold_program(const BpfProgram& program) {
  if (callbacks.size() >= 256 || str(program.member()).empty()) return;
  CallbackFact fact{.member = std::string(str(program.member()).substr(0, 64)),
                    .name = std::string(str(program.name()).substr(0, 128)),
                    .where = {}};
  if (program.lines() && program.lines()->size() > 0) {
    const LineInfo* first = program.lines()->Get(0);
    std::string_view file = str(first->file()).substr(0, 256);
    if (!file.empty()) fact.where = std::string(file) + ":" + std::to_string(first->line());
  }
  callbacks.push_back(std::move(fact));
}

}  // namespace ktstr
