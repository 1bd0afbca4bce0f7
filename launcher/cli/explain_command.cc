#include "launcher/cli/explain_command.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/text.h"
#include "explain/incident.h"
#include "explain/journal.h"
#include "explain/text_source.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/import_log.h"
#include "launcher/cli/source_lines.h"
#include "schemas/exit_code.h"
#include "schemas/guest_generated.h"
#include "schemas/log_format.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

bool is_event_log(const std::string& path) {
  if (path == "-") return false;
  std::ifstream file(path, std::ios::binary);
  char magic[sizeof(kLogMagic)] = {};
  return file.read(magic, sizeof(magic)) && std::memcmp(magic, kLogMagic, sizeof(magic)) == 0;
}

class Explainer {
 public:
  Explainer(ImportLog* log, const SourceLines* sources) : log_(log), sources_(sources) {}

  void line(std::string_view text, Origin origin = Origin::kUnknown, std::string_view when = {}) {
    const LineRole role = scanner_.feed(text, origin, when);
    if (log_) log_->line(text, role);
    collect();
  }
  ExplainedText finish(std::string file) {
    scanner_.finish();
    collect();
    out_.file = std::move(file);
    out_.lines = scanner_.lines();
    out_.orderly_exits = scanner_.orderly_exits();
    out_.orderly = scanner_.orderly();
    out_.anything = scanner_.anything();
    order_explanations(out_.crashes);
    return std::move(out_);
  }

 private:
  void collect() {
    while (auto incident = scanner_.take()) {
      // One bug has one signature, with lines or without.
      std::string signature;
      std::vector<std::string> said;
      if (sources_) {
        signature = explain(*incident).signature;
        said = sources_->annotate(*incident);
      }
      if (log_) log_->incident(*incident);
      if (out_.crashes.size() < kMaxCrashes) {
        out_.crashes.push_back(explain(*incident));
        if (sources_) out_.crashes.back().signature = std::move(signature);
        for (std::string& text : said) out_.crashes.back().lacks.push_back(std::move(text));
      } else {
        ++out_.dropped;
      }
    }
  }

  IncidentScanner scanner_;
  ExplainedText out_;
  ImportLog* log_;
  const SourceLines* sources_;
};

Result<ExplainedText> explain_events(const std::string& path, ImportLog* log, const SourceLines* sources) {
  auto reader = LogReader::open(path);
  if (!reader) return std::move(reader).error();
  Explainer explainer(log, sources);
  for (;;) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) break;
    if ((*event)->vm() == Vm::Repro) continue;  // it repeats the first VM's crash
    if (auto* console = (*event)->as<ConsoleLine>()) {
      explainer.line(str(console->text()), Origin::kKernel);
    } else if (auto* dump = (*event)->as<DumpLine>()) {
      explainer.line(str(dump->text()), Origin::kProcess);
    } else if (auto* output = (*event)->as<SchedulerLine>()) {
      explainer.line(str(output->text()), Origin::kProcess);
    }
  }
  ExplainedText out = explainer.finish(path);
  if (const std::string damage = reader->damage(); !damage.empty()) out.notes.push_back(damage);
  return out;
}

}  // namespace

Result<ExplainedText> explain_file(const std::string& path, ImportLog* log, const SourceLines* sources) {
  if (is_event_log(path)) return explain_events(path, log, sources);
  Explainer explainer(log, sources);
  JournalDecoder journal;
  const JournalDecoder::OnText on_text = [&](std::string_view text, Origin origin, std::string_view when) {
    explainer.line(text, origin, when);
  };
  auto stats = read_text(path, [&](std::string_view line) { journal.feed(line, on_text); });
  if (!stats) return std::move(stats).error();
  journal.finish(on_text);
  ExplainedText out = explainer.finish(path == "-" ? "standard input" : path);
  if (stats->reversed)
    out.notes.push_back("the text has its newest line first: line numbers count from its end");
  for (std::string& note : stats->notes) out.notes.push_back(std::move(note));
  return out;
}

int explain_command(const ExplainCommandOptions& options) {
  std::unique_ptr<ImportLog> log;
  if (!options.log.empty()) {
    auto opened = ImportLog::create(options.log, options.files.front());
    if (!opened) return report_error(opened.error(), exit_code(ExitCode::kUsage));
    log = std::move(*opened);
  }
  std::unique_ptr<SourceLines> sources;
  if (!options.kernel.empty() || !options.debuginfo.empty()) {
    auto opened = SourceLines::open(options.kernel, options.debuginfo);
    if (!opened) return report_error(opened.error(), exit_code(ExitCode::kUsage));
    sources = std::move(*opened);
  }
  int code = 0;
  for (const std::string& file : options.files) {
    auto text = explain_file(file, log.get(), sources.get());
    if (!text) {
      code = report_error(text.error(), exit_code(ExitCode::kUsage));
      continue;
    }
    if (options.json) {
      std::printf("%s\n", json_report(*text).c_str());
    } else {
      if (options.files.size() > 1) std::printf("=== %s ===\n", printable(text->file).c_str());
      std::fputs(text_report(*text).c_str(), stdout);
      if (options.files.size() > 1) std::printf("\n");
    }
  }
  if (log) {
    if (auto closed = log->finish(); !closed)
      return report_error(closed.error(), exit_code(ExitCode::kInfrastructure));
  }
  return code;
}

}  // namespace ktstr
