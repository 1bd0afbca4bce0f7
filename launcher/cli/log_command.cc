// ktstr-launch log LOG: the events of a recorded run, as text or JSON lines.
#include "launcher/cli/command_line.h"
#include "launcher/cli/event_printer.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"

namespace ktstr {

int log_command(const LogCommandOptions& options) {
  auto printer = EventPrinter::make(options.print);
  if (!printer) return report_error(printer.error(), exit_code(ExitCode::kUsage));
  auto reader = LogReader::open(options.log);
  if (!reader) return report_error(reader.error(), exit_code(ExitCode::kUsage));
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
