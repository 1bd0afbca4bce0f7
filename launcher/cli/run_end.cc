#include "launcher/cli/run_end.h"

#include <fmt/format.h>

#include "base/text.h"

namespace ktstr {
namespace {

std::string line(const char* what, const std::string& text) {
  return text.empty() ? "" : std::string(what) + printable(text) + "\n";
}

std::string shown_name(const EndedTest& test, const RunEndOptions& options) {
  return options.repeated ? fmt::format("{} (round {})", test.name, test.round) : test.name;
}

std::string files_of(const RunOutcome& r, const char* indent) {
  const std::string in = indent;
  return line((in + "signature: ").c_str(), r.signature) + line((in + "report: ").c_str(), r.report) +
         line((in + "log: ").c_str(), r.log) + line((in + "rerun: ").c_str(), r.rerun);
}

// A test of many: nothing of one that passed at once.
std::string one_of_several(const EndedTest& test, const RunEndOptions& options) {
  const TestEnd end = test.end(options.no_skips);
  const std::string name = shown_name(test, options);
  if (!test.skip.empty())
    return std::string(end == TestEnd::kFailed ? "FAILED " : "SKIPPED ") + name + ": " +
           printable(test.skip) + (end == TestEnd::kFailed ? " (--no-skips)" : "") + "\n";
  if (end == TestEnd::kPassed || test.tries.empty()) return {};
  const RunOutcome& r = test.result();
  const std::string why = r.summary.empty() ? "" : ": " + printable(r.summary);
  if (end == TestEnd::kSkipped) return "SKIPPED " + name + why + "\n";
  if (end == TestEnd::kFlaky) {
    std::string out = fmt::format("FLAKY {}/{} {}\n", test.tries.size(), test.tries.size(), name);
    for (size_t i = 0; i + 1 < test.tries.size(); ++i) {
      const RunOutcome& failed = test.tries[i].result;
      out += fmt::format("  TRY {} {}: {}\n", i + 1,
                         failed.code == ExitCode::kTestFailed ? "FAILED" : "NO VERDICT",
                         printable(failed.summary)) +
             files_of(failed, "    ");
    }
    return out;
  }
  return (end == TestEnd::kFailed ? "FAILED " : "NO VERDICT ") + name + why + "\n" +
         (test.tries.size() > 1 ? fmt::format("  in each of {} tries\n", test.tries.size()) : "") +
         files_of(r, "  ");
}

std::string counts_text(const std::vector<EndedTest>& tests, const RunEndOptions& options) {
  size_t counts[5] = {};
  for (const EndedTest& test : tests) ++counts[static_cast<size_t>(test.end(options.no_skips))];
  const auto count = [&](TestEnd end) { return counts[static_cast<size_t>(end)]; };
  std::string out = fmt::format("{} passed, {} failed", count(TestEnd::kPassed) + count(TestEnd::kFlaky),
                                count(TestEnd::kFailed));
  if (size_t n = count(TestEnd::kFlaky)) out += fmt::format(", {} of the passed flaky", n);
  if (size_t n = count(TestEnd::kUndecided)) out += fmt::format(", {} without a verdict", n);
  if (size_t n = count(TestEnd::kSkipped)) out += fmt::format(", {} skipped", n);
  if (options.not_run) out += fmt::format(", {} not run", options.not_run);
  return out + "\n";
}

}  // namespace

std::string run_end_text(const std::vector<EndedTest>& tests, const RunEndOptions& options) {
  std::string out;
  const bool several = tests.size() > 1 || options.not_run > 0;
  if (several) out += "\n";
  for (const EndedTest& test : tests)
    if (several || !test.skip.empty() || test.end(options.no_skips) == TestEnd::kFlaky)
      out += one_of_several(test, options);
  for (const EndedTest& test : tests)
    if (test.slow)
      out += fmt::format("SLOW {}: {:.1f} s\n", shown_name(test, options),
                         static_cast<double>(test.duration_ns()) / 1e9);
  if (options.repeated) out += repeat_text(tests);
  if (several) out += counts_text(tests, options);
  for (const EndedTest& test : tests) {
    const TestEnd end = test.end(options.no_skips);
    if (!test.skip.empty() || test.tries.empty()) continue;
    const bool undecided = end == TestEnd::kFailed || end == TestEnd::kUndecided;
    if (several && end != TestEnd::kPassed && end != TestEnd::kSkipped) continue;
    if (undecided) out += line("report: ", test.result().report);
    out += line("log: ", test.result().log);
    if (undecided) out += line("rerun: ", test.result().rerun);
  }
  return out;
}

}  // namespace ktstr
