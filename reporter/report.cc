#include "reporter/report.h"

#include "base/text.h"
#include "reporter/head.h"
#include "reporter/page.h"
#include "reporter/sections.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr size_t kSummaryLimit = 600;

// "7.3.4+deb13-cloud-amd64" -> "7.3.4"
std::string short_release(const std::string& release) {
  size_t end = release.find_first_not_of("0123456789.");
  return end == 0 || end == release.npos ? release : release.substr(0, end);
}

std::string clipped(const std::string& text) {
  if (text.size() <= kSummaryLimit) return text;
  size_t end = kSummaryLimit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

// PASS name  7.3.4  tcg  4 cpus  5.0 s  182034 iterations, longest gap 44.1 ms
void passing_line(const RunModel& model, const Judgement& judgement, Page& page) {
  const CgroupStats sum = model.primary().workers.total();
  std::string text = fmt::format(
      "PASS {}  {}  {}  {} cpus  {:.1f} s", model.spec().name, short_release(kernel_release(model)),
      model.run().accelerator ? model.run().accelerator->name : model.primary().boot.facts.accelerator,
      cpu_count(model.spec()), static_cast<double>(scenario_ns(model)) / 1e9);
  if (sum.workers)
    text += fmt::format("  {} iterations, longest gap {}", sum.iterations, human_ns(sum.gap_ns));
  if (!judgement.summary.empty()) text += "  " + clipped(judgement.summary);
  if (model.run().determinism) text += "  [" + determinism_words(model) + "]";
  for (const std::string& note : judgement.notes) text += fmt::format("  [{}]", note);
  page.line(text);
}

void failure_head(const RunModel& model, const Judgement& judgement, Page& page) {
  page.line("BUG SUMMARY: " + clipped(judgement.summary));
  if (model.started()) {
    page.linef("error: test {} [scheduler {}]: {}", model.spec().name,
               model.spec().scheduler ? model.spec().scheduler->name : "none", judgement.reason);
  } else {
    page.linef("error: {}", judgement.reason);
  }
  for (const std::string& text : judgement.detail) page.block(text, "  ");
  if (model.started())
    for (const std::string& text : head_lines(model, judgement)) page.line("  " + text);
  for (const std::string& text : judgement.notes) page.line("note: " + text);
}

}  // namespace

Report make_report(const RunModel& model) {
  Report report{.judgement = judge(model), .text = {}};
  const Judgement& j = report.judgement;
  Page page;
  if (j.outcome == Outcome::Skip) {
    page.linef("SKIP {}  {}", model.spec().name, clipped(j.summary));
  } else if (j.outcome == Outcome::Pass) {
    passing_line(model, j, page);
    if (model.switch_value("KTSTR_VERBOSE") == "1") console_section(model, page);
  } else {
    failure_head(model, j, page);
    if (model.started()) {
      stats_section(model, page);
      diagnostics_section(model, j, page);
      timeline_section(model, page);
      scheduler_log_section(model, page);
      monitor_section(model, page);
      dump_section(model, page);
      repro_section(model, j, page);
      console_section(model, page);
    }
  }
  report.text = page.take();
  return report;
}

VerdictT verdict_of(const Judgement& judgement) {
  VerdictT verdict;
  verdict.outcome = judgement.outcome;
  verdict.exit_code = exit_code(judgement.code);
  verdict.summary = printable(clipped(judgement.summary.empty() ? "passed" : judgement.summary));
  verdict.signature = printable(judgement.signature);
  if (judgement.outcome == Outcome::Fail) verdict.failed_step = judgement.failed_step;
  return verdict;
}

}  // namespace ktstr
