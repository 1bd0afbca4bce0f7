#include "launcher/runner/ended_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "schemas/common_generated.h"

namespace ktstr {

uint64_t EndedTest::duration_ns() const {
  uint64_t sum = 0;
  for (const TestTry& one : tries) sum += one.duration_ns;
  return sum;
}

ExitCode EndedTest::code(bool no_skips) const {
  if (!skip.empty()) return no_skips ? ExitCode::kTestFailed : ExitCode::kPass;
  return tries.empty() ? ExitCode::kInfrastructure : result().code;
}

TestEnd EndedTest::end(bool no_skips) const {
  if (!skip.empty()) return no_skips ? TestEnd::kFailed : TestEnd::kSkipped;
  switch (code(no_skips)) {
    case ExitCode::kPass:
      if (result().outcome == Outcome::Skip) return TestEnd::kSkipped;
      return tries.size() > 1 ? TestEnd::kFlaky : TestEnd::kPassed;
    case ExitCode::kTestFailed:
      return TestEnd::kFailed;
    default:
      return TestEnd::kUndecided;
  }
}

FailureRate failure_rate(uint64_t failed, uint64_t judged, uint64_t undecided) {
  FailureRate rate{.failed = failed, .judged = judged, .undecided = undecided};
  if (judged == 0) return rate;
  constexpr double z = 1.959964;  // 95 %
  const double n = static_cast<double>(judged), p = static_cast<double>(failed) / n;
  const double middle = p + z * z / (2 * n), spread = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  rate.low = failed == 0 ? 0 : std::max(0.0, (middle - spread) / (1 + z * z / n));
  rate.high = failed == judged ? 1 : std::min(1.0, (middle + spread) / (1 + z * z / n));
  return rate;
}

std::string repeat_text(const std::vector<EndedTest>& tests) {
  struct Sum {
    uint64_t failed = 0, judged = 0, undecided = 0;
    std::map<std::string, uint64_t> causes;
  };
  std::vector<std::string> order;
  std::map<std::string, Sum> sums;
  for (const EndedTest& test : tests) {
    const TestEnd end = test.end(false);
    if (end == TestEnd::kSkipped) continue;
    auto [sum, is_new] = sums.try_emplace(test.name);
    if (is_new) order.push_back(test.name);
    ++(end == TestEnd::kUndecided ? sum->second.undecided : sum->second.judged);
    sum->second.failed += end == TestEnd::kFailed;
    if (end == TestEnd::kPassed || end == TestEnd::kFlaky || test.tries.empty()) continue;
    const RunOutcome& r = test.result();
    ++sum->second.causes[r.signature.empty() ? r.summary : r.signature];
  }
  std::string out;
  for (const std::string& name : order) {
    const Sum& sum = sums[name];
    const FailureRate rate = failure_rate(sum.failed, sum.judged, sum.undecided);
    out += fmt::format("{}: {} of {} rounds failed", name, rate.failed, rate.judged);
    if (rate.judged > 0)
      out += fmt::format(": {:.1f} % (95 % interval: {:.1f} to {:.1f} %)",
                         100.0 * static_cast<double>(rate.failed) / static_cast<double>(rate.judged),
                         100 * rate.low, 100 * rate.high);
    if (rate.undecided > 0) out += fmt::format("; {} more without a verdict", rate.undecided);
    out += "\n";
    std::vector<std::pair<std::string, uint64_t>> causes(sum.causes.begin(), sum.causes.end());
    std::stable_sort(causes.begin(), causes.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    for (const auto& [cause, count] : causes) out += fmt::format("  {} times: {}\n", count, printable(cause));
  }
  return out;
}

}  // namespace ktstr
