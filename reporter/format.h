// The report in other forms, from the same model and the same judgement as the text: for CI, scripts and bug
// reports.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reporter/report.h"
#include "reporter/run_model.h"
#include "schemas/common_generated.h"

namespace ktstr {

enum class Format {
  kText,      // the report
  kJson,      // one line a test
  kJunit,     // one <testsuites> document; findings are failures, what could not be judged is an error
  kMarkdown,  // to paste into a bug report
  kGithub,    // workflow commands: annotations at the test's line of its spec
  kKtap,      // kernel TAP, version 1
};

// "text", "json", "junit", "md", "github", "ktap".
std::optional<Format> parse_format(std::string_view name);

struct JudgedRun {
  const RunModel* model;
  const Report* report;
};
// Ends with a newline.
std::string render(Format format, std::span<const JudgedRun> runs);

// One each, used by render().
std::string render_json(const JudgedRun& run);
std::string render_junit(std::span<const JudgedRun> runs);
std::string render_markdown(const JudgedRun& run);
std::string render_github(const JudgedRun& run);
std::string render_ktap(std::span<const JudgedRun> runs);

const char* outcome_name(Outcome outcome);       // "pass", "fail", "inconclusive", "skip"
std::string test_name(const JudgedRun& run);     // "unknown" when the log holds no run
uint64_t run_duration_ns(const JudgedRun& run);  // of the primary VM

}  // namespace ktstr
