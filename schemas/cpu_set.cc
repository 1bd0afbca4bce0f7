#include "schemas/cpu_set.h"

#include <charconv>

#include "schemas/spec_text.h"

namespace ktstr {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool number(std::string_view text, unsigned& out) {
  text = trimmed(text);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::vector<unsigned>> parse_cpu_list(std::string_view list, unsigned cpus) {
  std::vector<bool> named(cpus);
  for (size_t at = 0; at <= list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    std::string_view part = list.substr(at, comma - at);
    at = comma + 1;
    size_t dash = part.find('-');
    unsigned first = 0, last = 0;
    if (!number(part.substr(0, dash), first))
      return Error::invalid(in_quotes(list) + " is not a CPU list").with_hint("write it like \"0-3,5\"");
    if (dash == std::string_view::npos)
      last = first;
    else if (!number(part.substr(dash + 1), last))
      return Error::invalid(in_quotes(list) + " is not a CPU list").with_hint("write it like \"0-3,5\"");
    if (last < first)
      return Error::invalid(in_quotes(list) + " has a range that runs backwards: " + in_quotes(trimmed(part)))
          .with_hint("write the smaller number first");
    if (last >= cpus)
      return Error::invalid(in_quotes(list) + " names CPU " + std::to_string(last) +
                            ", the VM has CPUs 0 to " + std::to_string(cpus - 1))
          .with_hint("CPUs = llcs * cores * threads");
    for (unsigned cpu = first; cpu <= last; ++cpu) named[cpu] = true;
  }
  std::vector<unsigned> out;
  for (unsigned cpu = 0; cpu < cpus; ++cpu)
    if (named[cpu]) out.push_back(cpu);
  return out;
}

}  // namespace ktstr
