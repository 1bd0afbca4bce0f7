#include "reporter/checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "reporter/names.h"
#include "schemas/guest_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

namespace {

// Below, one time slice more or less is points of spread: that tells nothing of the scheduler.
constexpr uint64_t kLeastForSpreadNs = 900'000'000;

class WorkerChecks {
 public:
  WorkerChecks(const RunModel& model, CheckResults& out)
      : vm_(model.primary()), spec_(model.spec()), out_(out) {
    // A slow host keeps guest CPUs waiting: a gap is measured against what deadlines are measured against.
    scale_ = std::max(1.0, static_cast<double>(model.run().time_scale));
  }

  void run() {
    const uint64_t expected = expected_reports();
    if (vm_.workers.reports() < expected)
      out_.unknown.push_back(
          fmt::format("{} of {} workers did not report", expected - vm_.workers.reports(), expected));
    for (const CgroupStats& c : vm_.workers.cgroups()) {
      progress(c);
      rates(c);
    }
    if (!vm_.workers.cgroups().empty()) wakes();
  }

 private:
  template <typename... Args>
  void violated(fmt::format_string<Args...> format, Args&&... args) {
    out_.violated.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void unknown(fmt::format_string<Args...> format, Args&&... args) {
    out_.unknown.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  uint64_t expected_reports() const {
    uint64_t sum = 0;
    for (const auto& group : spec_.cgroups) sum += group->workers;
    // Operations are carried out in order.
    uint64_t carried_out = vm_.scenario.ops();
    for (size_t s = 0; s < spec_.steps.size(); ++s) {
      const auto& ops = spec_.steps[s]->ops;
      for (size_t i = 0; i < ops.size() && carried_out > 0; ++i, --carried_out)
        if (ops[i]->kind == OpKind::Spawn && ops[i]->group && !failed(s + 1, i))
          sum += ops[i]->group->workers;
    }
    return sum;
  }

  bool failed(size_t step, size_t index) const {
    const auto& all = vm_.scenario.failed_ops();
    return std::any_of(all.begin(), all.end(),
                       [&](const FailedOp& op) { return op.step == step && op.index == index; });
  }

  void progress(const CgroupStats& c) {
    if (spec_.not_starved && c.starved > 0)
      violated("starved: {} of {} workers of {} made no progress (first: worker {})", c.starved, c.workers,
               c.name, c.first_starved);
    // A program of one's own may have its reasons.
    if (spec_.not_starved && c.killed > 0 && c.work != WorkType::Custom)
      violated("stuck: {} of {} workers of {} did not end when asked, and were killed", c.killed, c.workers,
               c.name);
    if (c.failed > 0)
      violated("workers: {} of {} workers of {} ended with an error", c.failed, c.workers, c.name);
    const auto max_gap = static_cast<uint64_t>(static_cast<double>(spec_.max_gap_ns) * scale_);
    if (max_gap > 0 && c.gap_ns > max_gap)
      violated("gap: worker {} of {} was off its CPU for {} on CPU {}, allowed {}{}", c.gap_worker, c.name,
               human_ns(c.gap_ns), c.gap_cpu, human_ns(spec_.max_gap_ns),
               scale_ > 1 ? fmt::format(" x{:.2f}", scale_) : "");
    if (spec_.max_spread_pct > 0 && c.shortest_ns >= kLeastForSpreadNs &&
        c.spread_pct() > static_cast<double>(spec_.max_spread_pct))
      violated(
          "spread: {} ran its workers between {:.1f}% and {:.1f}% of the time, spread {:.1f} points, allowed "
          "{:.1f}",
          c.name, c.run_min_pct, c.run_max_pct, c.spread_pct(), static_cast<double>(spec_.max_spread_pct));
    if (spec_.isolation && c.outside > 0)
      violated(
          "isolation: {} of {} workers of {} ran outside of their cpuset (first: worker {}, CPUs {}; allowed "
          "{})",
          c.outside, c.workers, c.name, c.first_outside,
          cpu_list({c.outside_cpus.begin(), c.outside_cpus.end()}), c.cpuset.empty() ? "all" : c.cpuset);
  }

  void rates(const CgroupStats& c) {
    if (c.work == WorkType::Custom) return;  // counts no iterations
    const bool per_cpu = spec_.min_work_rate > 0 || spec_.max_throughput_cv > 0;
    if (per_cpu && c.no_cpu_time > 0)
      unknown("work rate: {} of {} workers of {} have no CPU time on record", c.no_cpu_time, c.workers,
              c.name);
    if (spec_.max_throughput_cv > 0 && c.rates > 0 &&
        c.throughput_cv() > static_cast<double>(spec_.max_throughput_cv))
      violated(
          "throughput: the workers of {} differ by {:.3f} (coefficient of variation of iterations per CPU "
          "second), "
          "allowed {:.3f}",
          c.name, c.throughput_cv(), static_cast<double>(spec_.max_throughput_cv));
    if (spec_.min_work_rate > 0 && c.work_rate.any &&
        c.work_rate.value < static_cast<double>(spec_.min_work_rate))
      violated("work rate: worker {} of {} did {:.1f} iterations per CPU second, wanted {:.1f}",
               c.work_rate.worker, c.name, c.work_rate.value, static_cast<double>(spec_.min_work_rate));
    if (spec_.min_iteration_rate > 0) {
      if (c.no_wall > 0)
        unknown("iteration rate: {} of {} workers of {} have no time on record", c.no_wall, c.workers,
                c.name);
      if (c.iteration_rate.any && c.iteration_rate.value < static_cast<double>(spec_.min_iteration_rate))
        violated("iteration rate: worker {} of {} did {:.1f} iterations per second, wanted {:.1f}",
                 c.iteration_rate.worker, c.name, c.iteration_rate.value,
                 static_cast<double>(spec_.min_iteration_rate));
    }
    if (spec_.max_migration_ratio > 0) {
      if (!c.migration_ratio.any)
        unknown("migration ratio: the workers of {} did not iterate", c.name);
      else if (c.migration_ratio.value > static_cast<double>(spec_.max_migration_ratio))
        violated("migration ratio: worker {} of {} migrated {:.4f} times per iteration, allowed {:.4f}",
                 c.migration_ratio.worker, c.name, c.migration_ratio.value,
                 static_cast<double>(spec_.max_migration_ratio));
    }
  }

  // A group whose work never sleeps has no wake-ups to measure; a test in which nobody was woken has no
  // answer.
  void wakes() {
    if (spec_.max_p99_wake_latency_ns == 0 && spec_.max_wake_latency_cv <= 0) return;
    bool any = false;
    for (const CgroupStats& c : vm_.workers.cgroups()) {
      any = any || c.wake_p99.any;
      if (spec_.max_p99_wake_latency_ns > 0 && c.wake_p99.any &&
          c.wake_p99.value > static_cast<double>(spec_.max_p99_wake_latency_ns))
        violated("wake latency: p99 of worker {} of {} was {}, allowed {}", c.wake_p99.worker, c.name,
                 human_ns(static_cast<uint64_t>(c.wake_p99.value)), human_ns(spec_.max_p99_wake_latency_ns));
      if (spec_.max_wake_latency_cv > 0 && c.wake_cv.any &&
          c.wake_cv.value > static_cast<double>(spec_.max_wake_latency_cv))
        violated(
            "wake latency: that of worker {} of {} varies by {:.3f} (coefficient of variation), allowed "
            "{:.3f}",
            c.wake_cv.worker, c.name, c.wake_cv.value, static_cast<double>(spec_.max_wake_latency_cv));
    }
    if (!any) unknown("wake latency: no worker was woken");
  }

  const VmRecord& vm_;
  const TestSpecT& spec_;
  CheckResults& out_;
  double scale_ = 1;
};

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
      out.unknown.push_back(who + ": was ended before it was through");
    } else if (body && !vm.scenario.has_result()) {
      out.unknown.push_back(who + ": ended without a result (by exit(), or its last words were lost)");
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
  if (!vm.workload_finished) {
    out.unknown.push_back(fmt::format("the workload did not finish (last stage: {})", stage_name(vm.stage)));
    return out;
  }
  WorkerChecks(model, out).run();
  payload_checks(vm, spec, out);
  body_checks(vm, out);
  step_checks(vm, spec, out);
  return out;
}

}  // namespace ktstr
