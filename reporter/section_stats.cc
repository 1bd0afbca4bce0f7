// `--- stats ---` and `--- diagnostics ---`.
#include <algorithm>

#include "base/cpu_list.h"
#include "base/text.h"
#include "reporter/kernel_record.h"
#include "reporter/names.h"
#include "reporter/sections.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/workload_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

std::string cpus_cell(const std::set<unsigned>& cpus) {
  if (cpus.empty()) return "-";
  return fmt::format("{} ({})", cpus.size(), cpu_list({cpus.begin(), cpus.end()}));
}

std::string gap_cell(const CgroupStats& c) {
  if (c.gap_ns == 0) return "-";
  return c.gap_cpu < 0 ? human_ns(c.gap_ns) : fmt::format("{} on CPU {}", human_ns(c.gap_ns), c.gap_cpu);
}

std::string end_name(VmEnd end) {
  switch (end) {
    case VmEnd::PoweredOff:
      return "powered off";
    case VmEnd::Died:
      return "ended itself before the test was over";
    case VmEnd::TimedOut:
      return "killed at a deadline";
    case VmEnd::Interrupted:
      return "ended by ktstr-launch";
    case VmEnd::QemuFailed:
      return "QEMU failed";
  }
  return "unknown";
}

void payload_table(const ScenarioRecord& scenario, Page& page) {
  Table table({"payload", "command", "runs", "end", "time", "lines"});
  for (const PayloadRecord& p : scenario.payloads()) {
    const auto& end = p.first_bad ? p.first_bad : p.last;
    table.row({p.name, p.command, std::to_string(p.started), end ? payload_end_text(*end) : "not recorded",
               end ? human_ns(end->duration_ns) : "-", std::to_string(p.lines)});
  }
  if (!table.empty()) table.print(page);
  // A body that tells of a failed check ends well by itself: what it printed is wanted all the same.
  const bool failed = std::any_of(scenario.checks().begin(), scenario.checks().end(),
                                  [](const CheckReportedT& c) { return c.outcome == Outcome::Fail; });
  for (const PayloadRecord& p : scenario.payloads()) {
    if ((!p.first_bad && !failed) || p.lines == 0) continue;
    auto lines = p.tail.lines();
    page.linef("  last lines of payload {} ({} of {} lines):", p.name, lines.size(), p.lines);
    for (std::string_view text : lines) page.line("    " + std::string(text));
  }
}

void check_table(const ScenarioRecord& scenario, Page& page) {
  Table table({"check", "outcome", "observed", "threshold", "where", "detail"});
  for (const CheckReportedT& c : scenario.checks()) {
    const char* outcome = c.outcome == Outcome::Pass   ? "pass"
                          : c.outcome == Outcome::Fail ? "FAIL"
                          : c.outcome == Outcome::Skip ? "skip"
                                                       : "inconclusive";
    table.row({c.name.empty() ? "(result)" : c.name, outcome, c.observed.empty() ? "-" : c.observed,
               c.threshold.empty() ? "-" : c.threshold,
               c.file.empty() ? "-" : fmt::format("{}:{}", c.file, c.line), c.detail});
  }
  if (!table.empty()) table.print(page);
  if (scenario.checks_in_all() > scenario.checks().size())
    page.linef("  … ({} more checks) …", scenario.checks_in_all() - scenario.checks().size());
}

}  // namespace

static void worker_table(const WorkerStats& workers, Page& page);

void stats_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  const ScenarioRecord& scenario = vm.scenario;
  if (vm.workers.reports() == 0 && scenario.payloads().empty() && scenario.checks().empty()) return;
  page.title("stats");
  if (vm.workers.reports() > 0) worker_table(vm.workers, page);
  payload_table(scenario, page);
  check_table(scenario, page);
}

void worker_table(const WorkerStats& workers, Page& page) {
  Table table({"cgroup", "work", "workers", "cpus", "run", "spread", "gap", "migrations", "iterations",
               "wake p99/max"});
  for (const CgroupStats& c : workers.cgroups()) {
    table.row({c.name, EnumNameWorkType(c.work), std::to_string(c.workers), cpus_cell(c.cpus),
               fmt::format("{:.1f}..{:.1f}%", c.run_min_pct, c.run_max_pct),
               fmt::format("{:.1f}%", c.spread_pct()), gap_cell(c), std::to_string(c.migrations),
               std::to_string(c.iterations),
               c.wakeups ? fmt::format("{} / {}", human_ns(c.wake_p99_ns), human_ns(c.wake_max_ns)) : "-"});
  }
  if (workers.cgroups().size() > 1) {
    CgroupStats sum = workers.total();
    table.row({"total", "", std::to_string(sum.workers), cpus_cell(sum.cpus), "", "", gap_cell(sum),
               std::to_string(sum.migrations), std::to_string(sum.iterations), ""});
  }
  table.print(page);
  for (const CgroupStats& c : workers.cgroups()) {
    if (c.starved)
      page.linef("  {}: {} workers made no progress (first: worker {})", c.name, c.starved, c.first_starved);
    if (c.refused)
      page.linef("  {}: {} workers could not do their work: {}", c.name, c.refused, c.refusals());
    if (c.killed) page.linef("  {}: {} workers did not end when asked", c.name, c.killed);
    if (c.failed) page.linef("  {}: {} workers ended with an error", c.name, c.failed);
  }
}

// All of them, in their order, with where each was; those of the repro VM are only shown.
void kernel_messages(const RunModel& model, Page& page) {
  const auto print = [&](const VmRecord& vm, const char* of) {
    if (vm.kernel.messages.empty()) return;
    page.linef("kernel messages{}:", of);
    for (const KernelMessage& message : vm.kernel.messages) {
      const KernelFaultT& fault = message.fault;
      page.linef("  {}{}", kernel_message_words(fault),
                 message.from_scheduler_start ? "" : " (before the scheduler's start)");
      if (!fault.task_comm.empty() || !fault.taint.empty())
        page.linef("    {}{}{}",
                   fault.task_comm.empty() ? "" : fmt::format("task {}[{}]", fault.task_comm, fault.task_pid),
                   fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "",
                   fault.taint.empty() ? "" : ", taint " + fault.taint);
      constexpr size_t kFrames = 8;
      for (size_t i = 0; i < fault.backtrace.size() && i < kFrames; ++i)
        page.linef("    {}+{:#x}{}", fault.backtrace[i]->function, fault.backtrace[i]->offset,
                   fault.backtrace[i]->uncertain ? " (uncertain)" : "");
    }
    if (vm.kernel.left_out) page.linef("  and {} more", vm.kernel.left_out);
  };
  print(model.primary(), "");
  if (model.repro()) print(*model.repro(), " of the repro VM");
}

void diagnostics_section(const RunModel& model, const Judgement& judgement, Page& page) {
  const VmRecord& vm = model.primary();
  bool vm_lost = vm.boot.started && !vm.boot.finished && !model.interrupted();
  const KernelVerdict kernel = judge_kernel_messages(model);
  const bool kernel_counts = !kernel.counts.empty() || !kernel.unknown.empty();
  if (!needs_diagnostics(judgement.kind) && !vm_lost && !kernel_counts && !model.backtrace()) return;
  page.title("diagnostics");
  page.linef("init stage:          {}{}", stage_name(vm.scheduler.stage_at_end.value_or(vm.boot.stage)),
             !vm.scheduler.stage_at_end || *vm.scheduler.stage_at_end == vm.boot.stage
                 ? ""
                 : fmt::format(" when the scheduler ended; at the end: {}", stage_name(vm.boot.stage)));
  if (vm.boot.failed)
    page.linef("init gave up:        {} (at: {})", vm.boot.failed->error, stage_name(vm.boot.failed->stage));
  if (vm.boot.exited) {
    const VmExitedT& exit = *vm.boot.exited;
    page.linef("VM exit code:        {} ({}) after {}",
               exit.signal ? signal_name(exit.signal) : std::to_string(exit.exit_code), end_name(exit.end),
               human_ns(exit.duration_ns));
    if (!exit.deadline.empty()) page.linef("deadline:            {}", exit.deadline);
    for (const std::string& words : exit.stderr_tail) page.linef("QEMU says:           {}", words);
  } else {
    page.line("VM exit code:        not recorded");
  }
  if (vm.scheduler.exit) {
    const SchedulerExitedT& exit = *vm.scheduler.exit;
    page.linef(
        "scheduler's process: {}{}",
        exit.signal ? "killed by " + signal_name(exit.signal) : fmt::format("exit code {}", exit.exit_code),
        exit.requested ? ", when asked to end" : ", by itself");
    for (size_t i = 0; i < exit.core_frames.size() && i < 64; ++i)
      page.linef("  #{:<2} {}", i, exit.core_frames[i]);
  }
  if (const auto exit = vm.scheduler.words.console_exit()) {
    page.linef("kernel message:      scheduler \"{}\" disabled ({}){}", exit->ops_name, exit->reason,
               exit->message.empty() ? "" : ": " + exit->message);
  }
  kernel_messages(model, page);
  if (vm.text.console_lines == 0) {
    page.line("kernel console:      empty");
    return;
  }
  auto lines = vm.text.console_tail.lines();
  page.linef("kernel console (last {} of {} lines):", lines.size(), vm.text.console_lines);
  for (std::string_view text : lines) page.line("  " + std::string(text));
}

}  // namespace ktstr
