// ktstr-launch log LOG: the events of a recorded run, as text or JSON lines.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "launcher/cli/command_line.h"
#include "runtime/log_reader.h"
#include "runtime/text.h"
#include "schemas/event_json.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

bool listed(const std::vector<std::string>& wanted, std::string_view value) {
  if (wanted.empty()) return true;
  for (const auto& w : wanted)
    if (w == value) return true;
  return false;
}

bool wanted(const LogCommandOptions& options, const EventBuffer& event) {
  double seconds = static_cast<double>(event->stamp()->host_ns()) / 1e9;
  return listed(options.types, payload_name(event.type())) && listed(options.sources, str(event->source())) &&
         listed(options.vms, EnumNameVm(event.vm())) && seconds >= options.from_s && seconds <= options.to_s;
}

// "     7   1.234567 Primary  collector ConsoleLine  text="…" truncated=false"
void print_text(const EventBuffer& event) {
  auto json = event_json(event);
  std::string line;
  for (const auto& [key, value] : json["payload"].items())
    line += " " + key + "=" + value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::printf("%8llu %12.6f %-8s%s %-10s %-18s%s\n", static_cast<unsigned long long>(event.seq()),
              static_cast<double>(event->stamp()->host_ns()) / 1e9, EnumNameVm(event.vm()),
              event->stamp()->attempt() ? std::to_string(event->stamp()->attempt()).c_str() : "",
              printable(str(event->source())).c_str(), std::string(payload_name(event.type())).c_str(),
              printable(line).c_str());
}

}  // namespace

int log_command(const LogCommandOptions& options) {
  for (const auto& type : options.types) {
    bool known = false;
    for (auto p : EnumValuesPayload()) known = known || type == EnumNamePayload(p);
    if (!known)
      return report_error(Error::invalid("no event type is called " + type).with_hint("schemas/event.fbs lists them"),
                          exit_code(ExitCode::kUsage));
  }
  auto reader = LogReader::open(options.log);
  if (!reader) return report_error(reader.error(), exit_code(ExitCode::kUsage));
  while (true) {
    auto event = reader->next();
    if (!event) return report_error(event.error(), exit_code(ExitCode::kInfrastructure));
    if (!*event) break;
    if (!wanted(options, **event)) continue;
    if (options.json)
      std::printf("%s\n", event_json_line(**event).c_str());
    else
      print_text(**event);
  }
  std::string damage = reader->damage();
  if (damage.empty()) return 0;
  return report_error(Error::invalid(damage), exit_code(ExitCode::kInfrastructure));
}

}  // namespace ktstr
