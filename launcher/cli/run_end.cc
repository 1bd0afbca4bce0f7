#include "launcher/cli/run_end.h"

#include "base/text.h"
#include "schemas/common_generated.h"

namespace ktstr {
namespace {

enum class End { kPassed, kFailed, kUndecided, kSkipped };

End end_of(const EndedTest& test, bool no_skips) {
  if (!test.skip.empty()) return no_skips ? End::kFailed : End::kSkipped;
  switch (test.result.code) {
    case ExitCode::kPass:
      return test.result.outcome == Outcome::Skip ? End::kSkipped : End::kPassed;
    case ExitCode::kTestFailed:
      return End::kFailed;
    default:
      return End::kUndecided;
  }
}

std::string line(const char* what, const std::string& text) {
  return text.empty() ? "" : std::string(what) + printable(text) + "\n";
}

}  // namespace

std::string run_end_text(const std::vector<EndedTest>& tests, bool no_skips) {
  size_t counts[4] = {};
  for (const EndedTest& test : tests) ++counts[static_cast<size_t>(end_of(test, no_skips))];
  std::string out;
  const bool several = tests.size() > 1;
  if (several) out += "\n";
  for (const EndedTest& test : tests) {
    const RunOutcome& r = test.result;
    const End end = end_of(test, no_skips);
    if (!test.skip.empty()) {
      out += std::string(end == End::kFailed ? "FAILED " : "SKIPPED ") + test.name + ": " +
             printable(test.skip) + (end == End::kFailed ? " (--no-skips)" : "") + "\n";
      continue;
    }
    if (end == End::kPassed || !several) continue;
    const char* word = end == End::kSkipped ? "SKIPPED " : end == End::kFailed ? "FAILED " : "NO VERDICT ";
    out += word + test.name + (r.summary.empty() ? "" : ": " + printable(r.summary)) + "\n";
    if (end == End::kSkipped) continue;
    out += line("  signature: ", r.signature) + line("  report: ", r.report) + line("  log: ", r.log) +
           line("  rerun: ", r.rerun);
  }
  if (several) {
    out += std::to_string(counts[0]) + " passed, " + std::to_string(counts[1]) + " failed";
    if (counts[2]) out += ", " + std::to_string(counts[2]) + " without a verdict";
    if (counts[3]) out += ", " + std::to_string(counts[3]) + " skipped";
    out += "\n";
  }
  for (const EndedTest& test : tests) {
    const End end = end_of(test, no_skips);
    if (!test.skip.empty() || (several && end != End::kPassed && end != End::kSkipped)) continue;
    if (end != End::kPassed && end != End::kSkipped) out += line("report: ", test.result.report);
    out += line("log: ", test.result.log);
    if (end == End::kFailed || end == End::kUndecided) out += line("rerun: ", test.result.rerun);
  }
  return out;
}

}  // namespace ktstr
