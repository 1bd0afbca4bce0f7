#include "reporter/judge.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "base/wording.h"
#include "explain/explanation.h"
#include "reporter/checks.h"
#include "reporter/kernel_record.h"
#include "reporter/monitor_checks.h"
#include "reporter/names.h"
#include "reporter/slow_callback.h"
#include "reporter/wait_cause.h"
#include "schemas/crash_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/crash_signature.h"
#include "scx/error_pin.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

ExitCode code_of(FailureKind kind) {
  switch (kind) {
    case FailureKind::kNone:
      return ExitCode::kPass;
    case FailureKind::kArtefact:
      return ExitCode::kInconclusive;
    case FailureKind::kKernelDamaged:
    case FailureKind::kGuestFailed:
    case FailureKind::kBootFailed:
    case FailureKind::kQemuFailed:
      return ExitCode::kInfrastructure;
    default:
      return ExitCode::kTestFailed;
  }
}

Outcome outcome_of(ExitCode code) {
  return code == ExitCode::kPass         ? Outcome::Pass
         : code == ExitCode::kTestFailed ? Outcome::Fail
                                         : Outcome::Inconclusive;
}

// May an expect_err test count this failure as the expected one? What never ran under the scheduler does not.
bool may_be_expected(FailureKind kind) {
  switch (kind) {
    case FailureKind::kSchedulerCrash:
    case FailureKind::kStall:
    case FailureKind::kSchedulerDied:
    case FailureKind::kSchedulerLeft:
      return true;
    default:
      return false;
  }
}

// A kernel does not go on after a panic; what wrote to the console did.
bool survived_a_panic(const VmRecord& vm) {
  return vm.boot.finished &&
         std::any_of(vm.kernel.messages.begin(), vm.kernel.messages.end(), [](const KernelMessage& m) {
           return m.fault.kind == FaultKind::Panic || !m.fault.panic.empty();
         });
}

// Missing helpers, gaps, damage: said near the top, whatever the outcome.
std::vector<std::string> what_is_missing(const RunModel& model) {
  std::vector<std::string> notes;
  const VmRecord& vm = model.primary();
  for (const HelperExitedT& helper : model.lost_helpers()) {
    notes.push_back(fmt::format("helper lost: ktstr-{} ({})", helper.name,
                                helper.signal ? "killed by " + signal_name(helper.signal)
                                              : fmt::format("exit code {}", helper.exit_code)));
  }
  for (const std::string& who : vm.boot.missing) notes.push_back("incomplete: " + who);
  if (model.repro())
    for (const std::string& who : model.repro()->boot.missing)
      notes.push_back("incomplete (repro VM): " + who);
  if (model.missing_events())
    notes.push_back(fmt::format("incomplete: {} events are missing from the log", model.missing_events()));
  if (vm.boot.drained && (vm.boot.drained->bad_frames || vm.boot.drained->refused_events)) {
    notes.push_back(fmt::format("guest channel: {} damaged frames, {} events rejected{}",
                                vm.boot.drained->bad_frames, vm.boot.drained->refused_events,
                                vm.boot.drained->note.empty() ? "" : "; first: " + vm.boot.drained->note));
  }
  if (vm.scheduler.restarts != 0)
    notes.push_back(
        fmt::format("restarted: the scheduler's process loaded it again {}, the last time within {}",
                    count_of(vm.scheduler.restarts, "time"), human_ns(vm.scheduler.restart_ns)));
  if (vm.boot.finished && vm.boot.finished->lines_dropped)
    notes.push_back(fmt::format("guest: {} lines dropped", vm.boot.finished->lines_dropped));
  for (std::string& line : model.clients().lines()) notes.push_back(std::move(line));
  if (model.started() && !model.run().origin.empty())
    notes.push_back("the primary VM is as recorded in " + model.run().origin +
                    "; only the repro VM was booted for this report");
  if (model.stopped_here()) {
    notes.push_back(fmt::format("as known after event {} (guest: {}); the log goes on", model.last_seq(),
                                stage_name(vm.boot.stage)));
  } else if (!model.complete()) {
    notes.push_back(
        fmt::format("the run did not finish: the log ends after event {} (last stage of the guest: {})",
                    model.last_seq(), stage_name(vm.boot.stage)));
  }
  if (!model.completion_note().empty()) notes.push_back(model.completion_note());
  const KernelVerdict kernel = judge_kernel_messages(model);
  std::vector<std::pair<std::string, unsigned>> said;  // in the order of their first
  for (const auto* messages : {&kernel.counts, &kernel.unknown, &kernel.noted})
    for (const std::string& words : *messages) {
      auto same = std::find_if(said.begin(), said.end(), [&](const auto& s) { return s.first == words; });
      if (same == said.end()) said.emplace_back(words, 0), same = std::prev(said.end());
      ++same->second;
    }
  for (const auto& [words, times] : said)
    notes.push_back("also from the kernel: " + words + (times > 1 ? fmt::format(" ({} times)", times) : ""));
  if (survived_a_panic(vm))
    notes.push_back(
        "the console tells of a kernel panic, but the guest ran on to its end: what this guest says cannot "
        "be trusted");
  // A thread of Rust may panic without its process.
  if (const auto end = vm.scheduler.user_end.end();
      end && end->kind == UserEndKind::kPanic && vm.scheduler.exit && vm.scheduler.exit->requested)
    notes.push_back("also from the scheduler: a thread of its process " + user_end_words(*end));
  for (const CrashDetectedT& other : vm.scheduler.other_crashes)
    notes.push_back(fmt::format("also seen: {}: {}", other.reason, other.message));
  return notes;
}

// Without these the absence of a finding says nothing.
std::string doubt(const RunModel& model) {
  const VmRecord& vm = model.primary();
  if (model.stopped_here()) return "the run was not over";
  if (!model.complete()) return "the run did not finish";
  if (!vm.boot.started) return "no VM was started";
  if (!vm.boot.exited) return "the VM's end was not recorded";
  if (const std::string who = lost_evidence(vm); !who.empty())
    return "the collector was lost, so crashes may have gone unseen (" + who + ")";
  // "--timeout: …": the launcher ended a VM that had done no wrong.
  if (vm.boot.exited->end == VmEnd::Interrupted && !vm.boot.exited->stderr_tail.empty())
    return vm.boot.exited->stderr_tail.back();
  if (!vm.boot.finished)
    return fmt::format("the guest did not report its end (last stage: {})", stage_name(vm.boot.stage));
  if (model.spec().scheduler && !vm.scheduler.attached) return "the scheduler was never seen attached";
  return {};
}

// Why no clock of this run tells anything: the guest stood still while the host's went on, or its own ran away. Empty: they do.
std::string clocks_are_wrong(const RunModel& model) {
  for (const std::string& who : model.primary().boot.missing)
    if (who.starts_with("QEMU")) return "the guest was stopped (" + who + ")";
  // The clock of a deterministic guest follows its instructions.
  if (const auto rate = model.primary().monitor.clock.too_fast(); rate && !model.run().determinism)
    return fmt::format(
        "the guest's clock ran {:.1f} times as fast as the host's, so its watchdogs and deadlines came "
        "too early; `ktstr-launch template clean`, and run it again",
        *rate);
  return {};
}

// A clock found it: the kernel's watchdogs, the launcher's deadlines, the checks of what workers measured.
bool found_by_a_clock(FailureKind kind) {
  switch (kind) {
    case FailureKind::kStall:
    case FailureKind::kLockup:
    case FailureKind::kHang:
    case FailureKind::kNeverAttached:
    case FailureKind::kWorkload:
      return true;
    default:
      return false;
  }
}

// The wait that the watchdog objected to, if the host and no scheduler made it.
std::optional<Wait> starved_by_the_host(const RunModel& model, FailureKind kind) {
  const VmRecord& vm = model.primary();
  if (kind != FailureKind::kStall || model.run().determinism || model.interrupted() ||
      model.spec().expect_err)
    return std::nullopt;
  auto wait = vm.monitor.waits.find(vm.scheduler.crash ? vm.scheduler.crash->stall_task_pid : 0);
  return wait && wait->host_starved() ? wait : std::nullopt;
}

void set(Judgement& j, ExitCode code) {
  j.code = code;
  j.outcome = outcome_of(code);
}

// expect_err: the failure must be one that may be expected, and the pins must match.
void judge_expected(const RunModel& model, Judgement& j) {
  const TestSpecT& spec = model.spec();
  const std::string found = j.summary;
  if (j.kind == FailureKind::kNone) {
    set(j, ExitCode::kTestFailed);
    j.summary = "the expected error did not happen: the scheduler ran to the end (expect_err = true)";
    j.reason = "expected error did not happen";
    j.detail.push_back(
        "looks like: bug is fixed, or what triggers it was not reached; if fixed, delete this regression "
        "test");
    return;
  }
  if (j.kind == FailureKind::kWorkload) {  // the scheduler did not fail: what is expected did not happen
    j.detail.push_back(
        "expect_err = true, but the scheduler ran to the end; a failed check is not an error of the "
        "scheduler");
    return;
  }
  if (!may_be_expected(j.kind)) {
    j.detail.insert(j.detail.begin(),
                    "expect_err = true, but this is not an error of the running scheduler: not a pass");
    return;
  }
  if (PinPatterns pins = pins_of(spec); pins.any()) {
    auto pin = ErrorPin::compile(std::move(pins));
    if (!pin) {
      set(j, ExitCode::kUsage);
      j.outcome = Outcome::Inconclusive;
      j.summary = "bad pin: " + pin.error().message();
      j.reason = "bad pin";
      return;
    }
    PinResult result = pin->check(model.corpus().text(), /*scheduler_failed=*/true);
    if (!result.matched()) {
      const std::string lost = lost_evidence(model.primary());
      set(j, !lost.empty()          ? ExitCode::kInfrastructure
             : model.corpus().cut() ? ExitCode::kInconclusive
                                    : ExitCode::kTestFailed);
      j.summary = "the pinned error text was not found; what happened: " + found;
      j.reason = "pin missed";
      j.detail.push_back(pin->explain(result));
      if (!lost.empty())
        j.detail.push_back("the collector was lost, so what the pin looks for may have gone unseen (" + lost +
                           ")");
      if (model.corpus().cut())
        j.detail.push_back("the corpus was too large and was cut: the pin saw a part of it");
      return;
    }
  }
  if (const KernelVerdict kernel = judge_kernel_messages(model); !kernel.counts.empty()) {
    set(j, ExitCode::kTestFailed);
    j.summary = kernel.counts.front() + "; the expected error happened too: " + found;
    j.reason = "the kernel reported trouble of its own";
    j.detail = kernel.counts;
    return;
  }
  set(j, ExitCode::kPass);
  j.summary = "expected error: " + found;
  j.reason.clear();
}

// A test that cannot run here, as the launcher or its own body says.
void skip(const RunModel& model, const std::string& why, Judgement& j) {
  const bool allowed = model.switch_value("KTSTR_NO_SKIPS") != "1";
  set(j, allowed ? ExitCode::kPass : ExitCode::kTestFailed);
  if (allowed) j.outcome = Outcome::Skip;
  j.summary = (allowed ? "" : "skipped, which --no-skips fails: ") + why;
  j.reason = allowed ? why : "skipped";
}

FailedStep step_of(const RunModel& model, FailureKind kind) {
  const VmRecord& vm = model.primary();
  if (!model.spec().scheduler) return FailedStep::None;
  if (vm.scheduler.attached) return FailedStep::Run;
  switch (kind) {
    case FailureKind::kNotStarted:
      return FailedStep::Start;
    case FailureKind::kDiedUnattached:
      // Not the VM's stage: it goes on to GuestFinished.
      return vm.scheduler.stage_at_end.value_or(Stage::NotStarted) >= Stage::ProgramsSeen ? FailedStep::Attach
                                                                                          : FailedStep::Start;
    case FailureKind::kLoadFailed:
    case FailureKind::kKernelDamaged:
      return FailedStep::Load;
    case FailureKind::kNeverAttached:
      return FailedStep::Attach;
    default:
      return FailedStep::None;  // the VM's end, not the scheduler's
  }
}

// Checks over a workload that ran to its end: a callback that took the CPUs, and the longest wait that was seen.
std::vector<std::string> who_suffered(const VmRecord& vm) {
  constexpr uint64_t kLongWait = 200'000'000;  // ns
  std::vector<std::string> lines;
  if (!vm.scheduler.attached) return lines;
  if (const auto slow = slow_callback(vm)) lines.push_back(slow_words(*slow));
  const auto wait = vm.monitor.waits.find(0);
  if (!wait || wait->wait_ns < kLongWait) return lines;
  const WaitCause seen = explain_wait(vm, wait->pid);
  lines.push_back(fmt::format("longest wait seen: {}[{}], {}: {}", wait->comm, wait->pid,
                              human_ns(wait->wait_ns), seen.summary));
  lines.insert(lines.end(), seen.evidence.begin(), seen.evidence.end());
  return lines;
}

}  // namespace

Judgement judge(const RunModel& model) {
  Judgement j;
  if (model.started() && model.skipped()) {
    skip(model, *model.skipped(), j);
    return j;
  }
  j.notes = what_is_missing(model);
  if (!model.started()) {
    j.summary = "the log holds no run";
    j.reason = "no run in the log";
    return j;
  }
  Cause cause = find_cause(model);
  j.kind = cause.kind;
  j.summary = cause.summary;
  j.reason = cause.reason;
  j.evidence = std::move(cause.evidence);
  j.advice = std::move(cause.advice);
  set(j, code_of(cause.kind));
  j.failed_step = step_of(model, cause.kind);
  if (model.repro_finished() && !model.repro_finished()->signature_primary.empty())
    j.signature = model.repro_finished()->signature_primary;
  else if (model.primary().scheduler.crash)
    j.signature = crash_signature(*model.primary().scheduler.crash);

  const std::string why_doubt = doubt(model);
  const KernelVerdict kernel = judge_kernel_messages(model);
  CheckResults checks;
  if (j.kind == FailureKind::kNone && !kernel.counts.empty()) {
    j.kind = FailureKind::kKernelMessage;
    set(j, ExitCode::kTestFailed);
    j.summary = kernel.counts.front();
    j.reason = "the kernel reported trouble of its own";
    j.detail = kernel.counts;
  }
  if (j.kind == FailureKind::kNone && why_doubt.empty()) {
    checks = run_checks(model);
    if (model.primary().boot.workload_finished) checks.add(monitor_checks(model));
    if (!checks.violated.empty()) {
      j.kind = FailureKind::kWorkload;
      set(j, ExitCode::kTestFailed);
      j.summary = checks.violated.front();
      j.reason = checks.violated.size() == 1 ? "a check failed"
                                             : fmt::format("{} checks failed", checks.violated.size());
      j.detail = checks.violated;
      j.evidence = who_suffered(model.primary());
    }
  }
  if (const std::string wrong = clocks_are_wrong(model);
      !wrong.empty() && found_by_a_clock(j.kind) && !model.interrupted()) {
    set(j, ExitCode::kInfrastructure);
    j.kind = FailureKind::kNone;
    j.detail = {"what a clock then found is no finding: " + j.summary};
    j.summary = "no verdict: " + wrong;
    j.reason = "could not be judged";
    j.signature.clear();
    return j;
  }
  // The kernel's lockup detectors measure time too: without its CPUs a sound guest seems to be locked up.
  if (const VcpuTime cpus = vcpu_time(model.primary().monitor.summary.threads_of_run());
      j.kind == FailureKind::kLockup && cpus.mostly_waited() && !model.interrupted() &&
      !model.spec().expect_err) {
    set(j, ExitCode::kInconclusive);
    j.kind = FailureKind::kNone;
    j.detail = {"what the kernel's lockup detector then found is no finding: " + j.summary};
    j.summary = fmt::format(
        "no verdict: the guest's CPUs waited {} for a host CPU and ran {}; run on an idle host, or with "
        "--deterministic",
        human_ns(cpus.waited_ns), human_ns(cpus.ran_ns));
    j.reason = "could not be judged";
    j.signature.clear();
    return j;
  }
  if (const auto wait = starved_by_the_host(model, j.kind)) {
    set(j, ExitCode::kInconclusive);
    j.kind = FailureKind::kNone;
    j.detail = {"what the watchdog then found is no finding: " + j.summary};
    j.summary =
        fmt::format("no verdict: {} in which {}[{}] waited; run on an idle host, or with --deterministic",
                    wait->host_words(), wait->comm, wait->pid);
    j.reason = "could not be judged";
    j.signature.clear();
    return j;
  }
  if (j.kind == FailureKind::kNone && checks.skipped && checks.violated.empty() && !model.interrupted()) {
    skip(model, *checks.skipped, j);
    return j;
  }
  if (j.kind == FailureKind::kNone && !model.interrupted()) {
    std::string unknown = !why_doubt.empty()        ? why_doubt
                          : !checks.unknown.empty() ? checks.unknown.front()
                          : !kernel.unknown.empty() ? kernel.unknown.front()
                                                    : "";
    if (!unknown.empty()) {
      // One of our own processes failed: that is no property of the test.
      bool lost = !model.primary().boot.missing.empty() || why_doubt.starts_with("no VM");
      set(j, lost ? ExitCode::kInfrastructure : ExitCode::kInconclusive);
      j.summary = "no verdict: " + unknown;
      j.reason = "could not be judged";
      j.detail.insert(j.detail.end(), checks.unknown.begin(), checks.unknown.end());
      return j;
    }
  }
  if (model.interrupted()) {
    int signo = *model.interrupted();
    j.summary = fmt::format("interrupted by {}{}", signal_name(signo),
                            j.kind == FailureKind::kNone ? "" : "; until then: " + j.summary);
    if (j.kind == FailureKind::kNone) j.reason = "interrupted";
    j.code = signo == SIGTERM ? ExitCode::kTerminated : ExitCode::kInterrupted;
    j.outcome = Outcome::Inconclusive;
    return j;
  }
  if (j.kind == FailureKind::kLoadFailed || j.kind == FailureKind::kKernelDamaged) {
    if (auto load = model.primary().scheduler.load.failure()) {
      // Of an inline wrapper, the statement that led there is what the author wrote.
      if (!load->own.empty())
        j.detail.push_back("after:   " + load->own.substr(load->own.rfind('/', load->own.find(": ")) + 1));
      if (!load->source.empty())
        j.detail.push_back(fmt::format("source:  {}  [{}]", load->source, load->where));
      if (!load->insn.empty()) j.detail.push_back(fmt::format("access:  {}", load->insn));
      if (!load->reason.empty()) j.detail.push_back(fmt::format("rejected: {}", load->reason));
    }
  }
  if (model.spec().expect_err) {
    if (!model.complete() && may_be_expected(j.kind)) {
      set(j, ExitCode::kInconclusive);  // the corpus may be short of what the pin looks for
    } else {
      judge_expected(model, j);
    }
  }
  return j;
}

}  // namespace ktstr
