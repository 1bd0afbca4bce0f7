#include "reporter/checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cpu_list.h"
#include "base/text.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "scx/vocabulary.h"
#include "workload/judge.h"

namespace ktstr {

namespace {

uint64_t expected_reports(const VmRecord& vm, const TestSpecT& spec) {
  auto failed = [&](size_t step, size_t index) {
    const auto& all = vm.scenario.failed_ops();
    return std::any_of(all.begin(), all.end(),
                       [&](const FailedOp& op) { return op.step == step && op.index == index; });
  };
  uint64_t sum = 0;
  for (const auto& group : spec.cgroups) sum += group->workers;
  // Operations are carried out in order.
  uint64_t carried_out = vm.scenario.ops();
  for (size_t s = 0; s < spec.steps.size(); ++s) {
    const auto& ops = spec.steps[s]->ops;
    for (size_t i = 0; i < ops.size() && carried_out > 0; ++i, --carried_out)
      if (ops[i]->kind == OpKind::Spawn && ops[i]->group && !failed(s + 1, i)) sum += ops[i]->group->workers;
  }
  return sum;
}

std::string violation_text(const Finding& f, double scale) {
  const CgroupStats& c = *f.group;
  const uint64_t worker = f.worker.value_or(0);
  auto ns = [](double value) { return human_ns(static_cast<uint64_t>(value)); };
  switch (f.limit) {
    case Limit::kNotStarved:
      return fmt::format("starved: {} of {} workers of {} made no progress (first: worker {})", f.count,
                         c.workers, c.name, worker);
    case Limit::kStuck:
      return fmt::format("stuck: {} of {} workers of {} did not end when asked, and were killed", f.count,
                         c.workers, c.name);
    case Limit::kRefused:
      return fmt::format("refused: {} of {} workers of {} could not do their work (first: worker {}): {}",
                         f.count, c.workers, c.name, worker, c.refusals());
    case Limit::kExit:
      return fmt::format("workers: {} of {} workers of {} ended with an error", f.count, c.workers, c.name);
    case Limit::kGap:
      return fmt::format("gap: worker {} of {} was off its CPU for {} on CPU {}, allowed {}{}", worker,
                         c.name, human_ns(c.gap_ns), c.gap_cpu, ns(f.threshold * 1e6),
                         scale > 1 ? fmt::format(" x{:.2f}", scale) : "");
    case Limit::kSpread:
      return fmt::format(
          "spread: {} ran its workers between {:.1f}% and {:.1f}% of the time, spread {:.1f} points, allowed "
          "{:.1f}",
          c.name, c.run_min_pct, c.run_max_pct, f.observed, f.threshold);
    case Limit::kIsolation:
      return fmt::format(
          "isolation: {} of {} workers of {} ran outside of their cpuset (first: worker {}, CPUs {}; allowed "
          "{})",
          f.count, c.workers, c.name, worker, cpu_list({c.outside_cpus.begin(), c.outside_cpus.end()}),
          c.cpuset.empty() ? "all" : c.cpuset);
    case Limit::kThroughput:
      return fmt::format(
          "throughput: the workers of {} differ by {:.3f} (coefficient of variation of iterations per CPU "
          "second), allowed {:.3f}",
          c.name, f.observed, f.threshold);
    case Limit::kWorkRate:
      return fmt::format("work rate: worker {} of {} did {:.1f} iterations per CPU second, wanted {:.1f}",
                         worker, c.name, f.observed, f.threshold);
    case Limit::kIterationRate:
      return fmt::format("iteration rate: worker {} of {} did {:.1f} iterations per second, wanted {:.1f}",
                         worker, c.name, f.observed, f.threshold);
    case Limit::kMigrations:
      return fmt::format(
          "migration ratio: worker {} of {} migrated {:.4f} times per iteration, allowed {:.4f}", worker,
          c.name, f.observed, f.threshold);
    case Limit::kWakeP99:
      return fmt::format("wake latency: p99 of worker {} of {} was {}, allowed {}", worker, c.name,
                         ns(f.observed), ns(f.threshold));
    case Limit::kWakeVariation:
      return fmt::format(
          "wake latency: that of worker {} of {} varies by {:.3f} (coefficient of variation), allowed "
          "{:.3f}",
          worker, c.name, f.observed, f.threshold);
  }
  return "";
}

std::string unknown_text(const Finding& f) {
  if (!f.group)
    return f.limit == Limit::kWakeP99 || f.limit == Limit::kWakeVariation
               ? "wake latency: no worker was woken"
               : std::string(attribute_of(f.limit)) + ": no worker counts iterations";
  const CgroupStats& c = *f.group;
  if (f.limit == Limit::kMigrations)
    return fmt::format("migration ratio: the workers of {} did not iterate", c.name);
  const bool wall = f.limit == Limit::kIterationRate;
  return fmt::format("{}: {} of {} workers of {} have no {} on record", wall ? "iteration rate" : "work rate",
                     f.count, c.workers, c.name, wall ? "time" : "CPU time");
}

void worker_checks(const RunModel& model, CheckResults& out) {
  const VmRecord& vm = model.primary();
  const uint64_t expected = expected_reports(vm, model.spec());
  if (vm.workers.reports() < expected)
    out.unknown.push_back(
        fmt::format("{} of {} workers did not report", expected - vm.workers.reports(), expected));
  if (vm.workers.cgroups().empty()) return;
  const Limits limits = limits_of(model.spec(), static_cast<double>(model.run().time_scale));
  for (const Finding& f : judge_workers(vm.workers.cgroups(), limits)) {
    if (f.held == Held::kViolated) out.violated.push_back(violation_text(f, limits.time_scale));
    if (f.held == Held::kUnknown) out.unknown.push_back(unknown_text(f));
  }
}

void payload_checks(const VmRecord& vm, const TestSpecT& spec, CheckResults& out) {
  for (const PayloadRecord& p : vm.scenario.payloads()) {
    const bool body = !spec.body.empty() && p.name == spec.body;
    const std::string who = body ? "test body" : "payload " + p.name;
    if (p.first_bad) {
      out.violated.push_back(
          fmt::format("{}: {}{}", who, payload_end_text(*p.first_bad),
                      p.tail.empty() ? "" : fmt::format("; its last line: {}", p.tail.lines().back())));
    } else if (p.started > p.ended) {
      out.unknown.push_back(who + ": its end was not recorded");
    } else if (body && p.last && p.last->stopped) {
      out.unknown.push_back(who + ": was ended before it finished");
    } else if (body && !vm.scenario.has_result()) {
      out.unknown.push_back(who + ": ended without a result (by exit(), or its last output was lost)");
    }
  }
  for (const auto& payload : spec.payloads)
    if (!payload->on_demand && !vm.scenario.find(payload->name))
      out.unknown.push_back("payload " + payload->name + ": was not started");
}

std::string check_text(const CheckReportedT& check) {
  std::string text = check.name.empty() ? "test body" : "check " + check.name;
  std::string sep = ": ";
  auto add = [&](const std::string& part) {
    if (part.empty()) return;
    text += sep + part;
    sep = ", ";
  };
  add(check.observed.empty() ? "" : "observed " + check.observed);
  add(check.threshold.empty() ? "" : "threshold " + check.threshold);
  add(check.detail);
  if (!check.file.empty()) text += fmt::format(" ({}:{})", check.file, check.line);
  return text;
}

void body_checks(const VmRecord& vm, CheckResults& out) {
  for (const CheckReportedT& check : vm.scenario.checks()) {
    if (check.outcome == Outcome::Fail) out.violated.push_back(check_text(check));
    if (check.outcome == Outcome::Inconclusive) out.unknown.push_back(check_text(check));
    if (check.outcome == Outcome::Skip && check.name.empty() && !out.skipped)
      out.skipped = check.detail.empty() ? "the test's body says so" : check.detail;
  }
}

void step_checks(const VmRecord& vm, const TestSpecT& spec, CheckResults& out) {
  for (const FailedOp& op : vm.scenario.failed_ops())
    out.unknown.push_back(fmt::format("step {}: {}: {}", op.step, op.op, op.error));
  uint64_t ops = 0;
  for (const auto& step : spec.steps) ops += step->ops.size();
  // A body may end the workload before the steps are through.
  if (vm.scenario.ops() < ops && spec.body.empty())
    out.unknown.push_back(
        fmt::format("{} of {} operations of the steps were not carried out", ops - vm.scenario.ops(), ops));
}

}  // namespace

CheckResults run_checks(const RunModel& model) {
  CheckResults out;
  const VmRecord& vm = model.primary();
  const TestSpecT& spec = model.spec();
  if (spec.cgroups.empty() && spec.payloads.empty() && spec.steps.empty()) return out;
  if (!vm.boot.workload_finished) {
    out.unknown.push_back(
        fmt::format("the workload did not finish (last stage: {})", stage_name(vm.boot.stage)));
    return out;
  }
  worker_checks(model, out);
  payload_checks(vm, spec, out);
  body_checks(vm, out);
  step_checks(vm, spec, out);
  return out;
}

}  // namespace ktstr
