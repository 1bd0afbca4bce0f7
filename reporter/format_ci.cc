// JUnit XML, GitHub annotations and KTAP.
#include <fmt/format.h>

#include "base/text.h"
#include "reporter/format.h"
#include "schemas/common_generated.h"

namespace ktstr {
namespace {

// XML 1.0 knows no control characters but tab and newline; reports hold none, but for the newlines.
std::string xml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&apos;";
        break;
      default:
        if (c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20) out += c;
    }
  }
  return out;
}

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

double seconds(const JudgedRun& run) { return static_cast<double>(run_duration_ns(run)) / 1e9; }

void junit_case(const JudgedRun& run, std::string& out) {
  const Judgement& j = run.report->judgement;
  std::string group = "ktstr";
  if (run.model->started() && !run.model->spec().file.empty()) group = printable(run.model->spec().file);
  out += fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"{:.3f}\"", xml(test_name(run)),
                     xml(group), seconds(run));
  if (j.outcome == Outcome::Pass) {
    out += "/>\n";
    return;
  }
  const char* element = j.outcome == Outcome::Skip   ? "skipped"
                        : j.outcome == Outcome::Fail ? "failure"
                                                     : "error";
  out += fmt::format(">\n      <{} message=\"{}\" type=\"{}\">{}</{}>\n    </testcase>\n", element,
                     xml(printable(j.summary)), xml(printable(j.reason)), xml(run.report->text), element);
}

}  // namespace

std::string render_junit(std::span<const JudgedRun> runs) {
  size_t failures = 0, errors = 0, skipped = 0;
  double time = 0;
  std::string cases;
  for (const JudgedRun& run : runs) {
    Outcome outcome = run.report->judgement.outcome;
    failures += outcome == Outcome::Fail;
    errors += outcome == Outcome::Inconclusive;
    skipped += outcome == Outcome::Skip;
    time += seconds(run);
    junit_case(run, cases);
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"ktstr\" tests=\"{}\" "
      "failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n{}  </testsuite>\n</testsuites>\n",
      runs.size(), failures, errors, skipped, time, cases);
}

std::string render_github(const JudgedRun& run) {
  const Judgement& j = run.report->judgement;
  const char* level = j.outcome == Outcome::Pass   ? "notice"
                      : j.outcome == Outcome::Fail ? "error"
                                                   : "warning";
  std::string where;
  if (run.model->started() && !run.model->spec().file.empty()) {
    where = fmt::format("file={},line={},", command_text(printable(run.model->spec().file), true),
                        run.model->spec().line);
  }
  std::string text = j.summary.empty() ? "passed" : printable(j.summary);
  return fmt::format("::{} {}title={}::{}\n", level, where, command_text("ktstr: " + test_name(run), true),
                     command_text(text, false));
}

std::string render_ktap(std::span<const JudgedRun> runs) {
  std::string out = fmt::format("KTAP version 1\n1..{}\n", runs.size());
  size_t number = 0;
  for (const JudgedRun& run : runs) {
    const Judgement& j = run.report->judgement;
    bool skip = j.outcome == Outcome::Skip;
    if (j.outcome != Outcome::Pass) {
      std::string_view text = run.report->text;
      while (!text.empty()) {
        size_t end = text.find('\n');
        out += fmt::format("# {}\n", text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
      }
    }
    std::string name = test_name(run);
    for (char& c : name)
      if (c == '#' || c == ' ') c = '_';
    out += fmt::format("{} {} {}{}\n", j.outcome == Outcome::Pass || skip ? "ok" : "not ok", ++number, name,
                       skip ? " # SKIP " + printable(j.reason) : "");
  }
  return out;
}

}  // namespace ktstr
