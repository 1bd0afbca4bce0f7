// What became of one round of one test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/run/run_session.h"

namespace ktstr {

struct TestTry {
  RunOutcome result;
  uint64_t duration_ns = 0;  // of the try as a whole: boot, workload, auto-repro, report
};

enum class TestEnd { kPassed, kFlaky, kFailed, kUndecided, kSkipped };

struct EndedTest {
  std::string name;
  std::vector<TestTry> tries;  // the last one decides; empty when it was skipped
  std::string skip;            // set: it was not run, and why
  uint32_t round = 1;          // --repeat
  bool slow = false;

  uint64_t duration_ns() const;
  // REQUIRES: it was not skipped.
  const RunOutcome& result() const { return tries.back().result; }
  ExitCode code(bool no_skips) const;
  TestEnd end(bool no_skips) const;
};

// How often a test failed in its rounds, with Wilson's interval of 95 % for the rate, and what it failed with.
struct FailureRate {
  uint64_t failed = 0, judged = 0;  // rounds; those without a verdict are not judged
  uint64_t undecided = 0;
  double low = 0, high = 1;  // of the rate, 0..1
};
FailureRate failure_rate(uint64_t failed, uint64_t judged, uint64_t undecided);

// The lines of --repeat: for each test its rate, and how often each signature was seen.
std::string repeat_text(const std::vector<EndedTest>& tests);

}  // namespace ktstr
