#include "reporter/format.h"

#include "base/text.h"
#include "schemas/common_generated.h"

namespace ktstr {

std::optional<Format> parse_format(std::string_view name) {
  if (name == "text") return Format::kText;
  if (name == "json") return Format::kJson;
  if (name == "junit") return Format::kJunit;
  if (name == "md") return Format::kMarkdown;
  if (name == "github") return Format::kGithub;
  if (name == "ktap") return Format::kKtap;
  return std::nullopt;
}

std::string render(Format format, std::span<const JudgedRun> runs) {
  if (format == Format::kJunit) return render_junit(runs);
  if (format == Format::kKtap) return render_ktap(runs);
  std::string out;
  for (const JudgedRun& run : runs) {
    if (format == Format::kText) out += run.report->text;
    if (format == Format::kJson) out += render_json(run);
    if (format == Format::kMarkdown) out += render_markdown(run);
    if (format == Format::kGithub) out += render_github(run);
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

std::string test_name(const JudgedRun& run) {
  return run.model->started() ? printable(run.model->spec().name) : "unknown";
}

uint64_t run_duration_ns(const JudgedRun& run) {
  const auto& exited = run.model->primary().boot.exited;
  return exited ? exited->duration_ns : 0;
}

}  // namespace ktstr
