// ktstr-launch log LOG: the events of a recorded run, as text or JSON lines.
#include <cstdio>
#include <map>

#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/event_printer.h"
#include "schemas/event_generated.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/normalised_stream.h"

namespace ktstr {

namespace {

// Source by source, as the hash has it. A log fits into memory at least as its text.
int print_normalised(LogReader& reader) {
  std::map<std::string, std::string> sources;
  NormalisedStream stream;
  while (true) {
    auto event = reader.next();
    if (!event) return report_error(event.error(), exit_code(ExitCode::kInfrastructure));
    if (!*event || (*event)->type() == Payload::FactsCompleted) break;
    if (!is_in_stream(**event)) continue;
    stream.add(**event);
    sources[stream_source(**event)] += printable(stream_line(**event)) + "\n";
  }
  for (const auto& [name, text] : sources) std::printf("%s\n%s", printable(name).c_str(), text.c_str());
  std::printf("stream %s, %llu events\n", stream.hex().c_str(),
              static_cast<unsigned long long>(stream.events()));
  if (reader.damage().empty()) return 0;
  return report_error(Error::invalid(reader.damage()), exit_code(ExitCode::kInfrastructure));
}

}  // namespace

int log_command(const LogCommandOptions& options) {
  auto printer = EventPrinter::make(options.print);
  if (!printer) return report_error(printer.error(), exit_code(ExitCode::kUsage));
  auto reader = LogReader::open(options.log);
  if (!reader) return report_error(reader.error(), exit_code(ExitCode::kUsage));
  if (options.normalised) return print_normalised(*reader);
  while (true) {
    auto event = reader->next();
    if (!event) return report_error(event.error(), exit_code(ExitCode::kInfrastructure));
    if (!*event) break;
    printer->print(**event);
  }
  std::string damage = reader->damage();
  if (damage.empty()) return 0;
  return report_error(Error::invalid(damage), exit_code(ExitCode::kInfrastructure));
}

}  // namespace ktstr
