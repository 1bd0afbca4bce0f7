// Assert: thresholds held against what a body's own workers did, by the judge that also holds declared ones against them
// (workload/judge.h).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "base/cpu_list.h"
#include "base/text.h"
#include "sdk/body_context.h"
#include "sdk/work.h"
#include "workload/judge.h"

namespace ktstr {
namespace {

std::string text(double value, std::string_view unit = "") {
  char out[64];
  std::snprintf(out, sizeof out, value == std::floor(value) && std::fabs(value) < 1e9 ? "%.0f" : "%.3g",
                value);
  return out + std::string(unit.empty() || unit == "/s" ? "" : " ") + std::string(unit);
}

struct NumberOf {
  std::string_view name;
  double Limits::* field;
};
constexpr NumberOf kNumbersOf[] = {
    {"max_gap_ms", &Limits::max_gap_ms},
    {"max_spread_pct", &Limits::max_spread_pct},
    {"max_throughput_cv", &Limits::max_throughput_cv},
    {"min_work_rate", &Limits::min_work_rate},
    {"min_iteration_rate", &Limits::min_iteration_rate},
    {"max_migration_ratio", &Limits::max_migration_ratio},
    {"max_p99_wake_latency_ns", &Limits::max_p99_wake_latency_ns},
    {"max_wake_latency_cv", &Limits::max_wake_latency_cv},
};

// The limits of an Assert. What a body cannot know, and what no spec would take, is an error and not passed over.
Limits limits_of(const Assert& wanted, TestContext& ctx) {
  Limits limits{.time_scale = ctx.time_scale()};
  for (const auto& [name, value] : wanted.values()) {
    const auto number = std::find_if(std::begin(kNumbersOf), std::end(kNumbersOf),
                                     [&](const NumberOf& n) { return n.name == name; });
    if (name == "not_starved") {
      limits.not_starved = std::get<bool>(value);
    } else if (name == "isolation") {
      limits.isolation = std::get<bool>(value);
    } else if (number == std::end(kNumbersOf)) {
      ctx.error(name + " cannot be judged in a body: give it to KTSTR_TEST, by its name or in .assertions");
    } else {
      limits.*number->field = std::get<double>(value);
      if (!(limits.*number->field >= 0)) ctx.error(name + " " + text(limits.*number->field) + " is below 0");
    }
  }
  return limits;
}

std::string of_workers(const Finding& f, const char* what) {
  return std::to_string(f.count) + " of " + std::to_string(f.group->workers) + " workers " + what;
}

std::string observed_text(const Finding& f) {
  switch (f.limit) {
    case Limit::kNotStarved:
      return of_workers(f, "made no progress");
    case Limit::kStuck:
      return of_workers(f, "did not end when asked, and were killed");
    case Limit::kRefused:
      return of_workers(f, "could not do their work: ") + f.group->refusals();
    case Limit::kIsolation:
      return f.worker ? "worker " + std::to_string(*f.worker) + " on CPU " +
                            cpu_list({f.group->outside_cpus.begin(), f.group->outside_cpus.end()})
                      : "all within";
    default:
      return text(f.observed, unit_of(f.limit)) +
             (f.worker ? " (worker " + std::to_string(*f.worker) + ")" : "");
  }
}

std::string threshold_text(const Finding& f, double scale) {
  if (f.limit == Limit::kNotStarved || f.limit == Limit::kStuck || f.limit == Limit::kRefused) return "none";
  if (f.limit == Limit::kIsolation) return "the cgroup's cpuset";
  return text(f.threshold, unit_of(f.limit)) +
         (f.limit == Limit::kGap && scale > 1 ? " x" + text(scale) : "");
}

std::string unknown_text(const Finding& f) {
  if (!f.group)
    return f.limit == Limit::kWakeP99 || f.limit == Limit::kWakeVariation ? "no worker was woken"
                                                                          : "no worker counts iterations";
  if (f.limit == Limit::kMigrations) return "the workers did not iterate";
  return of_workers(
      f, f.limit == Limit::kIterationRate ? "have no time on record" : "have no CPU time on record");
}

// Says each finding as a check of the report, and keeps the first of each kind for the result.
class Teller {
 public:
  explicit Teller(TestContext& ctx) : ctx_(ctx) {}

  void tell(const Finding& f) {
    const std::string check =
        std::string(attribute_of(f.limit)) + (f.group ? " of " + f.group->name : std::string());
    switch (f.held) {
      case Held::kUnknown:
        return unknown(check, unknown_text(f));
      case Held::kTooShort:
        return say(check, TestVerdict::kSkip, "less than 0.9 s of work tells nothing of fairness");
      case Held::kHolds:
        // not_starved says that these hold
        if (f.limit == Limit::kStuck || f.limit == Limit::kRefused) return;
        break;
      case Held::kViolated:
        break;
    }
    const std::string observed = observed_text(f), allowed = threshold_text(f, ctx_.time_scale());
    if (f.held == Held::kViolated && violated_++ == 0)
      first_ = check + ": " + observed + ", allowed " + allowed;
    ctx_.check(check, f.held == Held::kHolds, observed, allowed);
  }
  // Nothing was measured: no pass.
  void unknown(const std::string& check, const std::string& why) {
    if (first_unknown_.empty()) first_unknown_ = check + ": " + why;
    say(check, TestVerdict::kInconclusive, why);
  }

  unsigned violated() const { return violated_; }
  const std::string& first() const { return first_; }
  const std::string& first_unknown() const { return first_unknown_; }

 private:
  void say(const std::string& check, TestVerdict verdict, const std::string& why) {
    ctx_.impl().send_check(
        {.name = check, .verdict = verdict, .observed = {}, .threshold = {}, .detail = why});
  }

  TestContext& ctx_;
  unsigned violated_ = 0;
  std::string first_, first_unknown_;
};

}  // namespace

const Assert Assert::NO_OVERRIDES;

Assert Assert::default_checks() { return Assert().not_starved().max_gap_ms(2000); }

Assert Assert::with(std::string_view name, Value value) const {
  Assert changed = *this;
  changed.values_.insert_or_assign(std::string(name), std::move(value));
  return changed;
}

TestResult Assert::judge(TestContext& ctx, const std::vector<std::vector<WorkerResult>>& groups) const {
  Teller teller(ctx);
  const unsigned before = ctx.failed_checks();
  const Limits limits = limits_of(*this, ctx);
  std::vector<CgroupStats> stats;
  for (const auto& group : groups) {
    if (group.empty()) {
      teller.unknown("workers", "none reported: nothing could be judged");
      continue;
    }
    CgroupStats& one = stats.emplace_back();
    one.name = group.front().cgroup;
    one.work = report_of(group.front()).work;
    for (const WorkerResult& worker : group) one.add(report_of(worker), worker.messenger);
  }
  if (!groups.empty())
    for (const Finding& finding : judge_workers(stats, limits)) teller.tell(finding);
  if (ctx.failed_checks() == before)
    return teller.first_unknown().empty() ? pass() : inconclusive(teller.first_unknown());
  if (teller.violated() == 0) return fail("an assertion cannot be judged in a body");
  return fail(teller.first() +
              (teller.violated() > 1 ? ", and " + std::to_string(teller.violated() - 1) + " more" : ""));
}

}  // namespace ktstr
