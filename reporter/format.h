// The reports of a run's tests in other forms, from the same model and the same judgement as the text: for CI, scripts and
// bug reports. docs/formats.md says what each holds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reporter/report.h"
#include "reporter/run_model.h"
#include "schemas/common_generated.h"

namespace ktstr {

enum class Format {
  kNone,
  kText,      // the reports
  kSummary,   // what did not pass, and counts
  kJson,      // one line a test
  kJunit,     // one <testsuites> document; findings are failures, what could not be judged is an error
  kMarkdown,  // to paste into a bug report
  kGithub,    // workflow commands: annotations at the test's line of its spec
  kKtap,      // kernel TAP, version 1
  kPerfetto,  // a trace; written while the logs are folded (trace/trace_writer.h), so render() has nothing of it
};

// "none", "text", "summary", "json", "junit", "md", "github", "ktap", "perfetto".
std::optional<Format> parse_format(std::string_view name);
inline constexpr char kFormatNames[] = "text, summary, json, junit, md, github, ktap, perfetto, none";

// Where the page's data of a run waits (html/html_page.h); of size 0: there is none.
struct PagePart {
  uint64_t offset = 0, size = 0;  // bytes
};

struct JudgedRun {
  const RunModel* model;
  const Report* report;
};

// One try of one test, as all forms need it: what is kept of a log once it was folded. Texts are printable.
struct RunFacts {
  std::string run_id, name;  // "unknown" when the log holds no run
  std::string file;          // of the spec
  uint32_t line = 0;
  uint32_t round = 1, rounds = 1, try_number = 1;
  std::string scheduler, kernel, topology, accelerator, rerun;
  uint64_t start_unix_ns = 0;
  uint64_t duration_ns = 0;  // of the primary VM
  bool finished = false;     // all facts are in the log, and nobody interrupted the run
  Outcome outcome = Outcome::Inconclusive;
  ExitCode code = ExitCode::kInconclusive;
  std::string summary, reason, signature;
  std::string text;      // the report
  std::string json;      // the fields of a JSON object, without the braces
  std::string markdown;  // a section
  PagePart page;         // with --html
};
RunFacts facts_of(const JudgedRun& run);

enum class TestStatus { kPass, kFlaky, kFail, kInconclusive, kSkip, kNotRun };
const char* status_name(TestStatus status);  // "pass", "flaky", "fail", "inconclusive", "skip", "not_run"

// One round of one test: its tries, of which the last one decides. One without a try was planned and not run.
struct JudgedTest {
  std::vector<RunFacts> tries;
  RunFacts planned;  // of a test without tries: what its plan says

  const RunFacts& last() const { return tries.empty() ? planned : tries.back(); }
  TestStatus status() const;
  ExitCode code() const { return tries.empty() ? ExitCode::kInconclusive : tries.back().code; }
  std::string shown_name() const;  // with the round, if there are several
};

// Ends with a newline; empty for kNone.
std::string render(Format format, std::span<const JudgedTest> tests);

// One each, used by render().
std::string render_summary(std::span<const JudgedTest> tests);
std::string render_json(const JudgedTest& test);
std::string render_junit(std::span<const JudgedTest> tests);
// At most about `limit` bytes: reports that find no room are counted.
std::string render_markdown(std::span<const JudgedTest> tests, size_t limit = SIZE_MAX);
std::string render_github(std::span<const JudgedTest> tests);
std::string render_ktap(std::span<const JudgedTest> tests);

// "6 passed, 1 failed, 1 of the passed flaky, 2 skipped".
std::string count_words(std::span<const JudgedTest> tests);
const char* outcome_name(Outcome outcome);  // "pass", "fail", "inconclusive", "skip"
// Text for XML and HTML, in an element or an attribute. What XML 1.0 cannot hold at all, and what is no UTF-8, becomes '?'.
std::string xml_text(std::string_view text);
// What facts_of() keeps of a run for JSON and Markdown.
std::string json_fields(const JudgedRun& run);
std::string markdown_section(const JudgedRun& run);

}  // namespace ktstr
