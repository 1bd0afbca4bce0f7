// Markdown for a bug report or a step summary: the cause and the facts in sight, the sections folded away.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "reporter/format.h"
#include "reporter/sections.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// Inline code that holds any text: a fence longer than any run of backticks in it.
std::string code(std::string_view text) {
  size_t longest = 0, run = 0;
  for (char c : text) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
  std::string fence(longest + 1, '`');
  return fence + (longest ? " " : "") + std::string(text) + (longest ? " " : "") + fence;
}

std::string cell(std::string_view text) {
  std::string out;
  for (char c : printable(text)) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

void folded(std::string_view title, std::string_view body, std::string& out) {
  size_t longest = 2, run = 0;
  for (char c : body) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
  std::string fence(longest + 1, '`');
  out += fmt::format("<details><summary>{}</summary>\n\n{}\n{}", title, fence, body);
  if (!body.ends_with("\n")) out += '\n';
  out += fmt::format("{}\n\n</details>\n\n", fence);
}

}  // namespace

std::string markdown_section(const JudgedRun& run) {
  const Judgement& j = run.report->judgement;
  const RunModel& model = *run.model;
  std::string out = fmt::format("### {}: {}\n\n", outcome_name(j.outcome),
                                code(model.started() ? printable(model.spec().name) : "unknown"));
  if (j.outcome == Outcome::Pass)
    return out + code(run.report->text.substr(0, run.report->text.find('\n'))) + "\n\n";
  out += fmt::format("**BUG SUMMARY:** {}\n\n", code(printable(j.summary)));
  if (model.started()) {
    const RunStartedT& r = model.run();
    out += "| | |\n|---|---|\n";
    out += fmt::format("| kernel | {} |\n", cell(kernel_release(model)));
    out += fmt::format("| scheduler | {} |\n", cell(scheduler_words(model)));
    if (r.accelerator)
      out += fmt::format("| machine | {}: {} |\n", cell(r.accelerator->name), cell(r.accelerator->reason));
    out += fmt::format("| CPUs | {} |\n", cpu_count(*r.spec));
    if (!j.signature.empty()) out += fmt::format("| signature | {} |\n", cell(j.signature));
    if (!r.rerun.empty()) out += fmt::format("| rerun | {} |\n", cell(r.rerun));
    out += '\n';
  }
  // The text's own sections, each behind its title.
  std::string_view text = run.report->text;
  size_t at = text.find("\n--- ");
  while (at != text.npos) {
    size_t end = text.find("\n--- ", at + 1);
    std::string_view section = text.substr(at + 1, end == text.npos ? end : end - at - 1);
    size_t line = section.find('\n');
    std::string_view title = section.substr(4, line == section.npos ? line : line - 4);
    if (title.ends_with(" ---")) title.remove_suffix(4);
    folded(title, line == section.npos ? "" : section.substr(line + 1), out);
    at = end;
  }
  return out;
}

std::string render_markdown(std::span<const JudgedTest> tests, size_t limit) {
  std::string out;
  if (tests.size() != 1) {
    out = fmt::format("## ktstr: {}\n\n", count_words(tests));
    if (!tests.empty()) out += "| status | test | kernel | time | |\n|---|---|---|---|---|\n";
    size_t rows = 0;
    for (const JudgedTest& test : tests) {
      if (out.size() > limit / 2) break;
      ++rows;
      uint64_t ns = 0;
      for (const RunFacts& one : test.tries) ns += one.duration_ns;
      out += fmt::format("| {} | {} | {} | {:.1f} s | {} |\n", status_name(test.status()),
                         cell(test.shown_name()), cell(test.last().kernel), static_cast<double>(ns) / 1e9,
                         test.status() == TestStatus::kPass || test.last().summary.empty()
                             ? ""
                             : code(cell(test.last().summary)));
    }
    out += '\n';
    if (rows < tests.size()) out += fmt::format("{} more tests are not shown.\n\n", tests.size() - rows);
  }
  size_t left_out = 0;
  for (const JudgedTest& test : tests) {
    for (const RunFacts& one : test.tries) {
      if (tests.size() != 1 && one.outcome == Outcome::Pass) continue;
      if (tests.size() != 1 && one.outcome == Outcome::Skip) continue;
      if (out.size() + one.markdown.size() > limit)
        ++left_out;
      else
        out += one.markdown;
    }
  }
  if (left_out > 0) out += fmt::format("{} reports do not fit here; the logs hold them.\n", left_out);
  return out;
}

}  // namespace ktstr
