#include "reporter/text_record.h"

#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

constexpr size_t kDiagnosticsLines = 20;  // of the console, as the report shows
constexpr size_t kReproTail = 40;
constexpr HeadTail::Limits kReproLimits{.head_lines = 0, .tail_lines = kReproTail};
constexpr HeadTail::Limits kLogLimits{.head_lines = 1000, .tail_lines = 1000};
constexpr HeadTail::Limits kDumpLimits{.head_lines = 8000, .tail_lines = 2000};
constexpr HeadTail::Limits kConsoleLimits{.head_lines = 10000, .tail_lines = 10000};

}  // namespace

TextRecord::TextRecord(bool primary, bool verbose)
    : console_tail(primary ? kDiagnosticsLines : kReproTail),
      console(verbose ? kConsoleLimits : HeadTail::Limits{}),
      scheduler_log(primary ? kLogLimits : kReproLimits),
      dump(primary ? kDumpLimits : kReproLimits),
      whole_dump_(kDumpLimits),
      primary_(primary),
      verbose_(verbose) {}

void TextRecord::fold(const EventBuffer& event) {
  if (auto* line = event.as<ConsoleLine>()) {
    ++console_lines;
    console_tail.push(str(line->text()));
    if (verbose_) console.push(std::string(str(line->text())));
  } else if (auto* output = event.as<SchedulerLine>()) {
    scheduler_log.push(str(output->text()));
  } else if (auto* dumped = event.as<DumpLine>()) {
    dump.push(std::string(str(dumped->text())));
    if (!primary_) whole_dump_.push(std::string(str(dumped->text())));
  }
}

void TextRecord::finish() {
  if (primary_)
    scheduler_log.finish({.lines = dump, .section = "sched_ext dump"});
  else
    scheduler_log.finish({.lines = whole_dump_,
                          .section = "repro sched_ext dump",
                          .first_printed = dump.total() - dump.tail().size() + 1});
}

}  // namespace ktstr
