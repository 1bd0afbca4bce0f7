#include <cstdio>

#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "schemas/common_generated.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "scx/pin_proposal.h"

namespace ktstr {
namespace {

// The text of the guest goes to a terminal: line by line, without what a terminal would act upon.
void print(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::printf("%s\n", printable(text.substr(at, end - at)).c_str());
    at = end + 1;
  }
}

}  // namespace

int pin_command(const PinCommandOptions& options) {
  auto reader = LogReader::open(options.log);
  if (!reader) return report_error(reader.error(), exit_code(ExitCode::kUsage));
  PinEvidence primary, repro;
  uint8_t attempt = 0;
  for (;;) {
    auto event = reader->next();
    if (!event) return report_error(event.error(), exit_code(ExitCode::kInfrastructure));
    if (!*event) break;
    if ((*event)->vm() == Vm::Primary) primary.fold(**event);
    if ((*event)->vm() != Vm::Repro) continue;
    if (const uint8_t now = (**event)->stamp()->attempt(); now != attempt) {
      repro = PinEvidence();
      attempt = now;
    }
    repro.fold(**event);
  }
  if (const std::string damage = reader->damage(); !damage.empty())
    std::fprintf(stderr, "warning: %s\n", printable(damage).c_str());
  auto pin = propose_pin(primary, repro);
  if (!pin) return report_error(pin.error(), exit_code(ExitCode::kUsage));
  print(pin->toml());
  return 0;
}

}  // namespace ktstr
