#include "base/cpu_list.h"

#include <algorithm>

#include "base/numbers.h"
#include "base/text.h"
#include "base/wording.h"

namespace ktstr {

Result<std::vector<unsigned>> parse_cpu_list(std::string_view list, unsigned cpus) {
  std::vector<bool> named(cpus);
  for (size_t at = 0; at <= list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    std::string_view part = list.substr(at, comma - at);
    at = comma + 1;
    size_t dash = part.find('-');
    const auto first = parse_number<unsigned>(trim(part.substr(0, dash)));
    const auto last =
        dash == std::string_view::npos ? first : parse_number<unsigned>(trim(part.substr(dash + 1)));
    if (!first || !last)
      return Error::invalid(in_quotes(list) + " is not a CPU list").with_hint("write it like \"0-3,5\"");
    if (*last < *first)
      return Error::invalid(in_quotes(list) + " has a range that runs backwards: " + in_quotes(trim(part)))
          .with_hint("write the smaller number first");
    if (*last >= cpus)
      return Error::invalid(in_quotes(list) + " names CPU " + std::to_string(*last) +
                            ", the VM has CPUs 0 to " + std::to_string(cpus - 1))
          .with_hint("CPUs = llcs * cores * threads");
    for (unsigned cpu = *first; cpu <= *last; ++cpu) named[cpu] = true;
  }
  std::vector<unsigned> out;
  for (unsigned cpu = 0; cpu < cpus; ++cpu)
    if (named[cpu]) out.push_back(cpu);
  return out;
}

std::vector<unsigned> parse_cpu_mask(std::string_view mask) {
  std::vector<unsigned> cpus;
  unsigned word = 0;
  for (std::string_view rest = trim(mask); !rest.empty(); ++word) {
    const size_t comma = rest.rfind(',');
    const auto bits = parse_number<uint32_t>(rest.substr(comma == rest.npos ? 0 : comma + 1), 16);
    if (!bits || word == 256) return {};
    for (unsigned bit = 0; bit < 32; ++bit)
      if ((*bits >> bit) & 1) cpus.push_back(word * 32 + bit);
    rest = comma == rest.npos ? std::string_view() : rest.substr(0, comma);
  }
  return cpus;
}

std::string cpu_list(std::vector<unsigned> cpus) {
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  std::string out;
  for (size_t i = 0; i < cpus.size();) {
    size_t j = i;
    while (j + 1 < cpus.size() && cpus[j + 1] == cpus[j] + 1) ++j;
    if (!out.empty()) out += ',';
    out += std::to_string(cpus[i]);
    if (j > i) out += '-' + std::to_string(cpus[j]);
    i = j + 1;
  }
  return out;
}

}  // namespace ktstr
