#include "reporter/format.h"

#include <fmt/format.h>

#include "base/text.h"
#include "reporter/sections.h"
#include "schemas/common_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

std::string topology_words(const TestSpecT& spec) {
  if (!spec.topology) return {};
  const TopologyT& t = *spec.topology;
  return fmt::format("{} NUMA x {} LLC x {} cores x {} threads", t.numa_nodes, t.llcs, t.cores, t.threads);
}

}  // namespace

std::optional<Format> parse_format(std::string_view name) {
  if (name == "none") return Format::kNone;
  if (name == "text") return Format::kText;
  if (name == "summary") return Format::kSummary;
  if (name == "json") return Format::kJson;
  if (name == "junit") return Format::kJunit;
  if (name == "md") return Format::kMarkdown;
  if (name == "github") return Format::kGithub;
  if (name == "ktap") return Format::kKtap;
  if (name == "perfetto") return Format::kPerfetto;
  return std::nullopt;
}

std::string render(Format format, std::span<const JudgedTest> tests) {
  std::string out;
  switch (format) {
    case Format::kNone:
    case Format::kPerfetto:
      break;
    case Format::kText:
      for (const JudgedTest& test : tests)
        for (const RunFacts& one : test.tries) out += one.text;
      break;
    case Format::kSummary:
      return render_summary(tests);
    case Format::kJson:
      for (const JudgedTest& test : tests) out += render_json(test);
      break;
    case Format::kJunit:
      return render_junit(tests);
    case Format::kMarkdown:
      return render_markdown(tests);
    case Format::kGithub:
      return render_github(tests);
    case Format::kKtap:
      return render_ktap(tests);
  }
  return out;
}

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::Pass:
      return "pass";
    case Outcome::Fail:
      return "fail";
    case Outcome::Inconclusive:
      return "inconclusive";
    case Outcome::Skip:
      return "skip";
  }
  return "inconclusive";
}

const char* status_name(TestStatus status) {
  constexpr const char* kNames[] = {"pass", "flaky", "fail", "inconclusive", "skip", "not_run"};
  return kNames[static_cast<size_t>(status)];
}

RunFacts facts_of(const JudgedRun& run) {
  const Judgement& j = run.report->judgement;
  const RunModel& model = *run.model;
  RunFacts out;
  out.name = "unknown";
  out.outcome = j.outcome;
  out.code = j.code;
  out.summary = printable(j.summary);
  out.reason = printable(j.reason);
  out.signature = printable(j.signature);
  out.finished = model.complete() && !model.interrupted();
  if (const auto& exited = model.primary().boot.exited) out.duration_ns = exited->duration_ns;
  out.text = run.report->text;
  out.json = json_fields(run);
  out.markdown = markdown_section(run);
  if (!model.started()) return out;
  const RunStartedT& r = model.run();
  out.run_id = printable(r.run_id);
  out.name = printable(r.spec->name);
  out.file = printable(r.spec->file);
  out.line = r.spec->line;
  out.round = r.round;
  out.rounds = r.rounds;
  out.try_number = r.try_number;
  out.scheduler = r.spec->scheduler ? printable(r.spec->scheduler->name) : "none";
  out.kernel = printable(kernel_release(model));
  out.topology = topology_words(*r.spec);
  if (r.accelerator) out.accelerator = printable(r.accelerator->name);
  out.rerun = printable(r.rerun);
  out.start_unix_ns = r.start_unix_ns;
  return out;
}

TestStatus JudgedTest::status() const {
  if (tries.empty()) return TestStatus::kNotRun;
  switch (last().outcome) {
    case Outcome::Pass:
      return tries.size() > 1 ? TestStatus::kFlaky : TestStatus::kPass;
    case Outcome::Fail:
      return TestStatus::kFail;
    case Outcome::Skip:
      return TestStatus::kSkip;
    case Outcome::Inconclusive:
      break;
  }
  return TestStatus::kInconclusive;
}

std::string JudgedTest::shown_name() const {
  return last().rounds > 1 ? fmt::format("{} (round {})", last().name, last().round) : last().name;
}

std::string count_words(std::span<const JudgedTest> tests) {
  size_t counts[6] = {};
  for (const JudgedTest& test : tests) ++counts[static_cast<size_t>(test.status())];
  const auto count = [&](TestStatus status) { return counts[static_cast<size_t>(status)]; };
  std::string out = fmt::format("{} passed, {} failed", count(TestStatus::kPass) + count(TestStatus::kFlaky),
                                count(TestStatus::kFail));
  if (size_t n = count(TestStatus::kFlaky)) out += fmt::format(", {} of the passed flaky", n);
  if (size_t n = count(TestStatus::kInconclusive)) out += fmt::format(", {} without a verdict", n);
  if (size_t n = count(TestStatus::kSkip)) out += fmt::format(", {} skipped", n);
  if (size_t n = count(TestStatus::kNotRun)) out += fmt::format(", {} not run", n);
  return out;
}

std::string render_summary(std::span<const JudgedTest> tests) {
  std::string out;
  const auto line = [&](const char* what, const std::string& text) {
    if (!text.empty()) out += fmt::format("  {}: {}\n", what, text);
  };
  for (const JudgedTest& test : tests) {
    const RunFacts& last = test.last();
    const std::string why = last.summary.empty() ? "" : ": " + last.summary;
    switch (test.status()) {
      case TestStatus::kPass:
        continue;
      case TestStatus::kFlaky:
        out += fmt::format("FLAKY {}/{} {}\n", test.tries.size(), test.tries.size(), test.shown_name());
        for (size_t i = 0; i + 1 < test.tries.size(); ++i)
          out += fmt::format("  TRY {} {}: {}\n", test.tries[i].try_number,
                             test.tries[i].outcome == Outcome::Fail ? "FAILED" : "NO VERDICT",
                             test.tries[i].summary);
        continue;
      case TestStatus::kSkip:
        out += fmt::format("SKIPPED {}{}\n", test.shown_name(), why);
        continue;
      case TestStatus::kNotRun:
        out += fmt::format("NOT RUN {} ({}:{})\n", test.shown_name(), last.file, last.line);
        continue;
      case TestStatus::kFail:
        out += fmt::format("FAILED {}{}\n", test.shown_name(), why);
        break;
      case TestStatus::kInconclusive:
        out += fmt::format("NO VERDICT {}{}\n", test.shown_name(), why);
        break;
    }
    if (test.tries.size() > 1) out += fmt::format("  in each of {} tries\n", test.tries.size());
    line("signature", last.signature);
    line("kernel", last.kernel);
    line("rerun", last.rerun);
  }
  return out + count_words(tests) + "\n";
}

}  // namespace ktstr
