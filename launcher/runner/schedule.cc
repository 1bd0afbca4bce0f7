#include "launcher/runner/schedule.h"

namespace ktstr {

Schedule::Schedule(const std::vector<size_t>& tests, const ScheduleOptions& options)
    : options_(options), waiting_(tests.begin(), tests.end()) {
  for (uint32_t round = 1; round <= options_.rounds; ++round)
    for (size_t test : tests) queue_.push_back({.test = test, .round = round});
}

// Rounds that --until-fail takes back.
void Schedule::drop_unwanted() {
  while (options_.until_fail && !queue_.empty() && failed_.contains(queue_.front().test)) queue_.pop_front();
}

std::optional<TestRunId> Schedule::next() {
  drop_unwanted();
  if (stopped_ || running_ >= options_.jobs || queue_.empty()) return std::nullopt;
  const TestRunId run = queue_.front();
  queue_.pop_front();
  waiting_.erase(run.test);
  ++running_;
  return run;
}

bool Schedule::ended(const TestRunId& run, ExitCode code) {
  --running_;
  const bool may_be_tried_again = code == ExitCode::kTestFailed || code == ExitCode::kInconclusive;
  if (may_be_tried_again && run.try_number <= options_.retries && !stopped_) {
    queue_.push_front({.test = run.test, .round = run.round, .try_number = run.try_number + 1});
    return true;
  }
  if (code == ExitCode::kPass) return false;
  if (code == ExitCode::kTestFailed) failed_.insert(run.test);
  if (options_.fail_fast) stopped_ = true;
  return false;
}

bool Schedule::done() const {
  if (running_ > 0) return false;
  if (stopped_ || queue_.empty()) return true;
  if (!options_.until_fail) return false;
  for (const TestRunId& run : queue_)
    if (!failed_.contains(run.test)) return false;
  return true;
}

size_t Schedule::not_run() const { return waiting_.size(); }

}  // namespace ktstr
