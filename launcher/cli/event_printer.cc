#include "launcher/cli/event_printer.h"

#include <cstdio>

#include "base/json.h"
#include "base/text.h"
#include "schemas/event_json.h"

namespace ktstr {
namespace {

bool listed(const std::vector<std::string>& wanted, std::string_view value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

// "     7   1.234567 Primary  collector ConsoleLine  text="…" truncated=false"
void print_text(const EventBuffer& event) {
  auto json = event_json(event);
  std::string line;
  for (const auto& [key, value] : json["payload"].items()) line += " " + key + "=" + json_text(value);
  std::printf("%8llu %12.6f %-8s%s %-10s %-18s%s\n", static_cast<unsigned long long>(event.seq()),
              static_cast<double>(event->stamp()->host_ns()) / 1e9, EnumNameVm(event.vm()),
              event->stamp()->attempt() ? std::to_string(event->stamp()->attempt()).c_str() : "",
              printable(str(event->source())).c_str(), std::string(payload_name(event.type())).c_str(),
              printable(line).c_str());
}

}  // namespace

Result<EventPrinter> EventPrinter::make(EventPrintOptions options) {
  for (const auto& type : options.types) {
    bool known = false;
    for (auto p : EnumValuesPayload()) known = known || type == EnumNamePayload(p);
    if (!known)
      return Error::invalid("no event type is called " + type).with_hint("schemas/event.fbs lists them");
  }
  for (auto& vm : options.vms) {
    bool known = false;
    for (auto v : EnumValuesVm()) {
      if (::strcasecmp(vm.c_str(), EnumNameVm(v)) != 0) continue;
      vm = EnumNameVm(v);
      known = true;
    }
    if (!known) return Error::invalid("--vm " + vm + ": not one of Host, Primary, Repro");
  }
  if (options.from_s > options.to_s) return Error::invalid("--from is later than --to");
  return EventPrinter(std::move(options));
}

bool EventPrinter::wanted(const EventBuffer& event) const {
  double seconds = static_cast<double>(event->stamp()->host_ns()) / 1e9;
  return listed(options_.types, payload_name(event.type())) &&
         listed(options_.sources, str(event->source())) && listed(options_.vms, EnumNameVm(event.vm())) &&
         seconds >= options_.from_s && seconds <= options_.to_s;
}

void EventPrinter::print(const EventBuffer& event) const {
  if (!wanted(event)) return;
  if (options_.json)
    std::printf("%s\n", event_json_line(event).c_str());
  else
    print_text(event);
}

}  // namespace ktstr
