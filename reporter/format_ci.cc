// GitHub annotations and KTAP.
#include <fmt/format.h>

#include "base/text.h"
#include "reporter/format.h"
#include "schemas/common_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// Workflow commands end at the line; properties also at ',' and ':'.
std::string command_text(std::string_view text, bool property) {
  std::string out;
  for (char c : text) {
    if (c == '%')
      out += "%25";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else if (property && c == ':')
      out += "%3A";
    else if (property && c == ',')
      out += "%2C";
    else
      out += c;
  }
  return out;
}

void annotate(const JudgedTest& test, std::string& out) {
  const RunFacts& last = test.last();
  const TestStatus status = test.status();
  const char* level = status == TestStatus::kPass || status == TestStatus::kSkip ? "notice"
                      : status == TestStatus::kFail                              ? "error"
                                                                                 : "warning";
  std::string where;
  if (!last.file.empty()) where = fmt::format("file={},line={},", command_text(last.file, true), last.line);
  std::string text = last.summary.empty() ? "passed" : last.summary;
  if (status == TestStatus::kNotRun) text = "not run";
  if (status == TestStatus::kFlaky)
    text = fmt::format("flaky: passed at try {}; before: {}", last.try_number, test.tries.front().summary);
  out += fmt::format("::{} {}title={}::{}\n", level, where, command_text("ktstr: " + test.shown_name(), true),
                     command_text(text, false));
}

void commented(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out += fmt::format("# {}\n", text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

}  // namespace

// GitHub shows few annotations a step: of several tests only those that somebody must look at.
std::string render_github(std::span<const JudgedTest> tests) {
  std::string out;
  for (const JudgedTest& test : tests)
    if (tests.size() == 1 || (test.status() != TestStatus::kPass && test.status() != TestStatus::kSkip))
      annotate(test, out);
  return out;
}

std::string render_ktap(std::span<const JudgedTest> tests) {
  std::string out = fmt::format("KTAP version 1\n1..{}\n", tests.size());
  size_t number = 0;
  for (const JudgedTest& test : tests) {
    const TestStatus status = test.status();
    const RunFacts& last = test.last();
    for (const RunFacts& one : test.tries) {
      if (one.outcome == Outcome::Pass || one.outcome == Outcome::Skip) continue;
      if (test.tries.size() > 1) out += fmt::format("# TRY {} of {}\n", one.try_number, test.shown_name());
      commented(one.text, out);
    }
    std::string name = test.shown_name();
    for (char& c : name)
      if (c == '#' || c == ' ') c = '_';
    const bool ok =
        status == TestStatus::kPass || status == TestStatus::kFlaky || status == TestStatus::kSkip;
    out += fmt::format("{} {} {}", ok ? "ok" : "not ok", ++number, name);
    if (status == TestStatus::kSkip) out += " # SKIP " + last.reason;
    if (status == TestStatus::kFlaky) out += fmt::format(" # FLAKY passed at try {}", last.try_number);
    if (status == TestStatus::kNotRun) out += " # NOT RUN";
    out += '\n';
  }
  return out;
}

}  // namespace ktstr
