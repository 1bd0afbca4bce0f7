// Assert: thresholds held against what a body's own workers did. The rules are those of reporter/checks.cc
// for declared ones.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "sdk/body_context.h"

namespace ktstr {
namespace {

std::string text(double value, const char* unit = "") {
  char out[64];
  std::snprintf(out, sizeof out, value == std::floor(value) && std::fabs(value) < 1e9 ? "%.0f%s" : "%.3g%s",
                value, unit);
  return out;
}

double ms(uint64_t ns) { return static_cast<double>(ns) / 1e6; }
double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }
double per(double amount, double of) { return of > 0 ? amount / of : 0; }
double run_pct(const WorkerResult& w) {
  return 100 * per(static_cast<double>(w.run_ns), static_cast<double>(w.wall_ns));
}
double work_rate(const WorkerResult& w) { return per(static_cast<double>(w.iterations), seconds(w.run_ns)); }

// Below, one time slice more or less is points of spread.
constexpr uint64_t kLeastForSpreadNs = 900'000'000;

using Group = std::vector<WorkerResult>;

class Judge {
 public:
  Judge(const Assert& wanted, TestContext& ctx) : wanted_(wanted), ctx_(ctx) {}

  void group(const Group& workers) {
    if (workers.empty()) return unknown("workers", "", "none reported: nothing could be judged");
    const std::string& name = workers.front().cgroup;
    if (flag("not_starved")) {
      const auto starved =
          std::count_if(workers.begin(), workers.end(), [](const auto& w) { return w.iterations == 0; });
      say("not_starved", name, starved == 0,
          std::to_string(starved) + " of " + std::to_string(workers.size()) + " workers made no progress",
          "none");
    }
    if (flag("isolation")) {
      const auto outside =
          std::find_if(workers.begin(), workers.end(), [](const auto& w) { return !w.outside_cpus.empty(); });
      say("isolation", name, outside == workers.end(),
          outside == workers.end() ? "all within"
                                   : "worker " + std::to_string(outside->index) + " on CPU " +
                                         std::to_string(outside->outside_cpus[0]),
          "the cgroup's cpuset");
    }
    most("max_gap_ms", workers, [](const auto& w) { return ms(w.longest_gap_ns); }, " ms", ctx_.time_scale());
    const Group iterated = those(workers, [](const auto& w) { return w.iterations > 0; });
    if (number("max_migration_ratio") && iterated.empty())
      unknown("max_migration_ratio", name, "the workers did not iterate");
    most("max_migration_ratio", iterated, [](const auto& w) {
      return per(static_cast<double>(w.migrations), static_cast<double>(w.iterations));
    });
    // A group whose work never sleeps has no wake-ups: wakes() says when no group had any.
    const Group woken = those(workers, [](const auto& w) { return w.wakeups > 0; });
    any_woken_ = any_woken_ || !woken.empty();
    most(
        "max_p99_wake_latency_ns", woken, [](const auto& w) { return static_cast<double>(w.wake_p99_ns); },
        " ns");
    most("max_wake_latency_cv", woken, [](const auto& w) {
      return per(static_cast<double>(w.wake_stddev_ns), static_cast<double>(w.wake_mean_ns));
    });
    const Group ran = measured(workers, "no CPU time on record", {"min_work_rate", "max_throughput_cv"},
                               [](const auto& w) { return w.run_ns > 0; });
    least("min_work_rate", ran, work_rate, "/s");
    least(
        "min_iteration_rate",
        measured(workers, "no time on record", {"min_iteration_rate"},
                 [](const auto& w) { return w.wall_ns > 0; }),
        [](const auto& w) { return per(static_cast<double>(w.iterations), seconds(w.wall_ns)); }, "/s");
    const bool long_enough = std::all_of(workers.begin(), workers.end(),
                                         [](const auto& w) { return w.wall_ns >= kLeastForSpreadNs; });
    if (number("max_spread_pct") && !long_enough)
      say(TestVerdict::kSkip, "max_spread_pct", name, "less than 0.9 s of work tells nothing of fairness");
    if (auto limit = number("max_spread_pct"); limit && long_enough) {
      auto [low, high] =
          std::minmax_element(workers.begin(), workers.end(),
                              [](const auto& a, const auto& b) { return run_pct(a) < run_pct(b); });
      const double spread = run_pct(*high) - run_pct(*low);
      say("max_spread_pct", name, spread <= *limit, text(spread, " points"), text(*limit, " points"));
    }
    if (auto limit = number("max_throughput_cv"); limit && !ran.empty()) {
      double sum = 0, squares = 0;
      for (const auto& w : ran) sum += work_rate(w);
      const double mean = sum / static_cast<double>(ran.size());
      for (const auto& w : ran) squares += (work_rate(w) - mean) * (work_rate(w) - mean);
      const double cv = per(std::sqrt(squares / static_cast<double>(ran.size())), mean);
      say("max_throughput_cv", name, cv <= *limit, text(cv), text(*limit));
    }
  }

  // After all groups.
  void wakes() {
    for (const char* check : {"max_p99_wake_latency_ns", "max_wake_latency_cv"})
      if (number(check) && !any_woken_) unknown(check, "", "no worker was woken");
  }

  // What a body cannot know is not passed over.
  void refuse_the_rest() {
    static constexpr std::string_view kHere[] = {
        "not_starved",         "isolation",         "max_gap_ms",
        "max_migration_ratio", "min_work_rate",     "min_iteration_rate",
        "max_spread_pct",      "max_throughput_cv", "max_p99_wake_latency_ns",
        "max_wake_latency_cv"};
    for (const auto& [name, value] : wanted_.values())
      if (std::find(std::begin(kHere), std::end(kHere), name) == std::end(kHere))
        ctx_.error(name +
                   " cannot be judged in a body: give it to KTSTR_TEST, by its name or in .assertions");
  }

  unsigned violated() const { return violated_; }
  const std::string& first() const { return first_; }
  const std::string& first_unknown() const { return first_unknown_; }

 private:
  bool flag(std::string_view name) const {
    auto found = wanted_.values().find(name);
    return found != wanted_.values().end() && std::get<bool>(found->second);
  }
  // 0 means "not checked", as in a spec.
  std::optional<double> number(std::string_view name) const {
    auto found = wanted_.values().find(name);
    if (found == wanted_.values().end() || std::get<double>(found->second) == 0) return std::nullopt;
    return std::get<double>(found->second);
  }
  void say(const std::string& check, const std::string& group, bool ok, const std::string& observed,
           const std::string& allowed) {
    if (!ok && violated_++ == 0) first_ = check + " of " + group + ": " + observed + ", allowed " + allowed;
    ctx_.check(check + " of " + group, ok, observed, allowed);
  }
  void say(TestVerdict verdict, const std::string& check, const std::string& group, const std::string& why) {
    ctx_.impl().send_check({.name = group.empty() ? check : check + " of " + group,
                            .verdict = verdict,
                            .observed = {},
                            .threshold = {},
                            .detail = why});
  }
  // Nothing was measured: no pass.
  void unknown(const std::string& check, const std::string& group, const std::string& why) {
    if (first_unknown_.empty()) first_unknown_ = check + (group.empty() ? "" : " of " + group) + ": " + why;
    say(TestVerdict::kInconclusive, check, group, why);
  }
  template <typename Has>
  static Group those(const Group& workers, Has has) {
    Group some;
    std::copy_if(workers.begin(), workers.end(), std::back_inserter(some), has);
    return some;
  }
  // The workers that have what the checks need; each check that was asked for says so of the others.
  template <typename Has>
  Group measured(const Group& workers, const char* lack, std::initializer_list<const char*> checks, Has has) {
    Group some = those(workers, has);
    for (const char* check : checks)
      if (number(check) && some.size() < workers.size())
        unknown(check, workers.front().cgroup,
                std::to_string(workers.size() - some.size()) + " of " + std::to_string(workers.size()) +
                    " workers have " + lack);
    return some;
  }
  template <typename Of>
  void most(const char* check, const Group& workers, Of of, const char* unit = "", double scale = 1) {
    auto limit = number(check);
    if (!limit || workers.empty()) return;
    const auto& worst = *std::max_element(workers.begin(), workers.end(),
                                          [&](const auto& a, const auto& b) { return of(a) < of(b); });
    say(check, worst.cgroup, of(worst) <= *limit * scale,
        text(of(worst), unit) + " (worker " + std::to_string(worst.index) + ")",
        text(*limit, unit) + (scale > 1 ? " x" + text(scale) : ""));
  }
  template <typename Of>
  void least(const char* check, const Group& workers, Of of, const char* unit) {
    auto limit = number(check);
    if (!limit || workers.empty()) return;
    const auto& worst = *std::min_element(workers.begin(), workers.end(),
                                          [&](const auto& a, const auto& b) { return of(a) < of(b); });
    say(check, worst.cgroup, of(worst) >= *limit,
        text(of(worst), unit) + " (worker " + std::to_string(worst.index) + ")", text(*limit, unit));
  }

  const Assert& wanted_;
  TestContext& ctx_;
  unsigned violated_ = 0;
  bool any_woken_ = false;
  std::string first_, first_unknown_;
};

}  // namespace

const Assert Assert::NO_OVERRIDES;

Assert Assert::default_checks() { return Assert().not_starved().max_gap_ms(2000).max_spread_pct(15); }

Assert Assert::with(std::string_view name, Value value) const {
  Assert changed = *this;
  changed.values_.insert_or_assign(std::string(name), std::move(value));
  return changed;
}

TestResult Assert::judge(TestContext& ctx, const std::vector<std::vector<WorkerResult>>& groups) const {
  Judge judge(*this, ctx);
  const unsigned before = ctx.failed_checks();
  judge.refuse_the_rest();
  for (const auto& group : groups) judge.group(group);
  judge.wakes();
  if (ctx.failed_checks() == before)
    return judge.first_unknown().empty() ? pass() : inconclusive(judge.first_unknown());
  if (judge.violated() == 0) return fail("an assertion cannot be judged in a body");
  return fail(judge.first() +
              (judge.violated() > 1 ? ", and " + std::to_string(judge.violated() - 1) + " more" : ""));
}

}  // namespace ktstr
