#include "reporter/reporter_role.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

#include "base/log.h"
#include "base/small_files.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "reporter/html/html_page.h"
#include "reporter/html/page_data.h"
#include "reporter/trace/trace_writer.h"
#include "schemas/helper_flags.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

constexpr size_t kMostListBytes = 64u << 20;
constexpr size_t kMostMarkdownBytes = 900'000;  // GitHub takes 1 MiB a step

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

Result<std::unique_ptr<FoldedLog>> fold_log(const std::string& path, uint64_t until,
                                            const EventWatcher& watcher) {
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
    if (watcher) watcher(**event);
    if (folded->model.fold(**event)) break;  // FactsCompleted: the live run's report ended here too
  }
  folded->model.finish();
  return folded;
}

void ReporterRole::add_options(OptionSet& options) {
  options.texts("LOG", logs_, "recorded events.ktlog: print its report and exit with its verdict");
  options.text("--log-list", log_list_, "a file with the names of more logs, each ended by a NUL");
  options.texts("--plan", plans_, "with LOG: plan-RUN_ID.json: its tests without a log were not run");
  options.text(kReportFileFlag, report_file_, "also write the report to this file");
  options.count("--until", until_,
                "with LOG: what was known after the event with this number (default: the last)");
  options.text("--format", format_, std::string("with LOG: ") + kFormatNames);
  for (Document& document : documents_) options.text(document.flag, document.path, document.help);
  options.text("--append-markdown", append_markdown_,
               "with LOG: Markdown at the end of this file, 900 KB at most");
  options.text("--html", html_, "with LOG: a page of all tests into this folder (index.html)");
  options.count("--merge", merge_,
                "1: the logs are of several runs; a test that one of them finished counts once");
}

Status ReporterRole::read_lists() {
  if (log_list_.empty()) return {};
  auto text = read_binary(log_list_, kMostListBytes);
  if (!text) return std::move(text).error();
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\0', at), text->size());
    logs_.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  return {};
}

bool ReporterRole::write_documents(const RunSet& set, HtmlPage* page) {
  const std::vector<JudgedTest> tests = set.tests(merge_ != 0);
  bool written = true;
  const auto done = [&](const Status& s) {
    if (!s) log_error(s.error().message());
    written = written && s.ok();
  };
  const auto format = *parse_format(format_);
  if (format == Format::kSummary && merge_ != 0 && set.superseded() > 0)
    done(write_all(STDOUT_FILENO,
                   std::to_string(set.superseded()) + " unfinished tests are left out: they were run again\n",
                   "write the summary"));
  const std::string shown = render(format, tests);
  if (!shown.empty() || !report_file_.empty()) written = deliver(shown, report_file_) && written;
  for (const Document& document : documents_) {
    if (document.path.empty()) continue;
    const std::string text = render(document.format, tests);
    done(document.path == "-" ? write_all(STDOUT_FILENO, text, "write to stdout")
                              : write_file_atomically(document.path, text, {.mode = 0644, .sync = false}));
  }
  if (page) done(page->write(tests));
  if (!append_markdown_.empty()) {
    UniqueFd fd(::open(append_markdown_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    done(fd ? write_all(fd.get(), render_markdown(tests, kMostMarkdownBytes), "write " + append_markdown_)
            : Status(Error::from_errno("open " + append_markdown_)));
  }
  return written;
}

std::optional<int> ReporterRole::run_standalone() {
  if (logs_.empty() && log_list_.empty() && plans_.empty()) return std::nullopt;
  if (!parse_format(format_)) {
    cli_error("ktstr-reporter", "--format " + format_ + ": not one of " + kFormatNames);
    return exit_code(ExitCode::kUsage);
  }
  if (auto s = read_lists(); !s) {
    cli_error("ktstr-reporter", s.error().to_string());
    return exit_code(ExitCode::kUsage);
  }
  RunSet set;
  std::optional<ExitCode> bad;
  std::optional<HtmlPage> page;
  if (!html_.empty()) {
    auto made = HtmlPage::create(html_);
    if (!made) {
      log_error(made.error().to_string());
      return exit_code(ExitCode::kInfrastructure);
    }
    page.emplace(std::move(*made));
  }
  std::optional<TraceWriter> trace;
  if (parse_format(format_) == Format::kPerfetto)
    trace.emplace(
        [](std::string_view text) { return write_all(STDOUT_FILENO, text, "write the trace to stdout"); });
  for (const std::string& log : logs_) {
    RunPicture picture(HtmlPage::points(logs_.size()));
    if (trace) trace->begin_log();
    auto one = fold_log(log, until_, [&](const EventBuffer& event) {
      if (page) picture.fold(event);
      if (trace) trace->fold(event);
    });
    if (!one) {
      log_error(one.error().to_string());
      const ExitCode code =
          one.error().kind() == ErrorKind::kSystem ? ExitCode::kInfrastructure : ExitCode::kUsage;
      bad = bad ? merge_exit_codes(*bad, code) : code;
      continue;
    }
    if (!(*one)->damage.empty()) log_warning((*one)->damage);
    if (trace) trace->end_log((*one)->model);
    const Report report = make_report((*one)->model);
    const JudgedRun run{&(*one)->model, &report};
    RunFacts facts = facts_of(run);
    if (page && !page->takes_no_more()) {
      auto part = page->add(page_data(run, picture, page->is_full()));
      if (!part) {
        log_error(part.error().to_string());
        return exit_code(ExitCode::kInfrastructure);
      }
      facts.page = *part;
    }
    set.add(std::move(facts));
  }
  for (const std::string& plan : plans_) {
    auto text = read_binary(plan, kMostListBytes);
    Status added = text ? set.add_plan(*text) : Status(std::move(text).error());
    if (added) continue;
    log_error(plan + ": " + added.error().message());
    bad = bad ? merge_exit_codes(*bad, ExitCode::kUsage) : ExitCode::kUsage;
  }
  ExitCode code = bad.value_or(ExitCode::kPass);
  for (const JudgedTest& test : set.tests(merge_ != 0)) code = merge_exit_codes(code, test.code());
  // A document of nothing but logs that could not be read would pass for one of a run without tests.
  const bool nothing = bad && set.tests(false).empty();
  if (trace && !nothing) {
    if (auto s = trace->finish(); !s) {
      log_error(s.error().message());
      if (code == ExitCode::kPass) code = ExitCode::kInfrastructure;
    }
  }
  if (!nothing && !write_documents(set, page ? &*page : nullptr) && code == ExitCode::kPass)
    code = ExitCode::kInfrastructure;
  return exit_code(code);
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
