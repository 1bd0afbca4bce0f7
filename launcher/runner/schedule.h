// Which run of which test comes next: tries, rounds, fail-fast. No process and no clock is in it.
//
// A test has `rounds` rounds (--repeat); a round has up to `retries` + 1 tries. A try that found something, or found nothing
// out, is made again; a broken machine, a bad command line and an interruption are not. The last try decides the round.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "schemas/exit_code.h"

namespace ktstr {

struct TestRunId {
  size_t test = 0;          // index in the plan
  uint32_t round = 1;       // 1..rounds
  uint32_t try_number = 1;  // 1..retries + 1
};

struct ScheduleOptions {
  uint32_t jobs = 1;  // runs at the same time
  uint32_t retries = 0;
  uint32_t rounds = 1;
  bool until_fail =
      false;  // a test has no further round once one of its rounds failed; those that run already go on
  bool fail_fast = false;  // nothing new starts once a round did not pass
};

class Schedule {
 public:
  // `tests`: indexes of the plan, in the order of their start. Round 1 of all tests comes before round 2 of any.
  Schedule(const std::vector<size_t>& tests, const ScheduleOptions& options);

  // The run to start now; nullopt while `jobs` are running or when nothing is left. The caller starts it.
  std::optional<TestRunId> next();
  // A run has ended. Returns true if the same round will be tried again.
  bool ended(const TestRunId& run, ExitCode code);
  // Nothing new starts: the user has interrupted.
  void stop() { stopped_ = true; }
  // Nothing runs, and nothing will start.
  bool done() const;
  size_t running() const { return running_; }
  // Tests none of whose rounds was started.
  size_t not_run() const;

 private:
  void drop_unwanted();

  ScheduleOptions options_;
  std::deque<TestRunId> queue_;
  std::set<size_t> failed_, waiting_;
  size_t running_ = 0;
  bool stopped_ = false;
};

}  // namespace ktstr
