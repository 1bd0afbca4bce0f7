#include "reporter/reporter_role.h"

#include <unistd.h>

#include <initializer_list>

#include "base/log.h"
#include "base/small_files.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "schemas/helper_flags.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

// The file first: stdout may go to a pager, which blocks until somebody scrolls.
// False: one of them did not take it all.
bool deliver(const std::string& text, const std::string& report_file) {
  Status filed;
  if (!report_file.empty()) filed = write_file_atomically(report_file, text);
  const Status shown = write_all(STDOUT_FILENO, text, "write the report to stdout");
  for (const Status* s : std::initializer_list<const Status*>{&filed, &shown})
    if (!*s) log_error(s->error().message());
  return filed && shown;
}

}  // namespace

Result<std::unique_ptr<FoldedLog>> fold_log(const std::string& path, uint64_t until) {
  auto reader = LogReader::open(path);
  if (!reader) return std::move(reader).error();
  auto folded = std::make_unique<FoldedLog>();
  while (true) {
    auto event = reader->next();
    if (!event) {
      folded->damage = event.error().message();
      break;
    }
    if (!*event) {
      folded->damage = reader->damage();
      break;
    }
    if ((*event)->seq() > until) {
      folded->model.stop_here();
      break;
    }
    if (folded->model.fold(**event)) break;  // FactsCompleted: the live run's report ended here too
  }
  folded->model.finish();
  return folded;
}

void ReporterRole::add_options(OptionSet& options) {
  options.texts("LOG", logs_, "recorded events.ktlog: print its report and exit with its verdict");
  options.text(kReportFileFlag, report_file_, "also write the report to this file");
  options.count("--until", until_,
                "with LOG: what was known after the event with this number (default: the last)");
  options.text("--format", format_, "with LOG: text, json, junit, md, github or ktap");
}

std::optional<int> ReporterRole::run_standalone() {
  if (logs_.empty()) return std::nullopt;
  auto format = parse_format(format_);
  if (!format) {
    cli_error("ktstr-reporter", "--format " + format_ + ": not one of text, json, junit, md, github, ktap");
    return exit_code(ExitCode::kUsage);
  }
  std::vector<std::unique_ptr<FoldedLog>> folded;
  std::vector<std::unique_ptr<Report>> reports;
  std::vector<JudgedRun> runs;
  std::optional<ExitCode> merged;
  auto merge = [&](ExitCode code) { merged = merged ? merge_exit_codes(*merged, code) : code; };
  for (const std::string& log : logs_) {
    auto one = fold_log(log, until_);
    if (!one) {
      log_error(one.error().to_string());
      merge(one.error().kind() == ErrorKind::kSystem ? ExitCode::kInfrastructure : ExitCode::kUsage);
      continue;
    }
    if (!(*one)->damage.empty()) log_warning((*one)->damage);
    folded.push_back(std::move(*one));
    reports.push_back(std::make_unique<Report>(make_report(folded.back()->model)));
    runs.push_back({&folded.back()->model, reports.back().get()});
    merge(reports.back()->judgement.code);
  }
  const bool told = runs.empty() || deliver(render(*format, runs), report_file_);
  if (!told && merged == ExitCode::kPass) merged = ExitCode::kInfrastructure;
  return exit_code(*merged);
}

void ReporterRole::on_event(const EventBuffer& event, Context& context) {
  if (told_ || !model_.fold(event)) return;
  told_ = true;
  model_.finish();
  Report report = make_report(model_);
  log_info("folded events up to " + std::to_string(event.seq()) + "; verdict: exit code " +
           std::to_string(exit_code(report.judgement.code)));
  (void)deliver(report.text, report_file_);  // the launcher looks for the file
  context.publish(verdict_of(report.judgement));
}

}  // namespace ktstr
