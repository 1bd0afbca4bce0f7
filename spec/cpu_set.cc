#include "spec/cpu_set.h"

#include <charconv>
#include <cmath>

#include "base/cpu_list.h"
#include "base/numbers.h"
#include "base/text.h"
#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "spec/spec_attributes.h"

namespace ktstr {
namespace {

bool fraction(std::string_view text, double& out) {
  text = trim(text);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 0 && out <= 1;
}

std::vector<unsigned> span(unsigned first, unsigned end) {
  std::vector<unsigned> out;
  for (unsigned cpu = first; cpu < end; ++cpu) out.push_back(cpu);
  return out;
}

Error bad_rule(std::string_view rule, const std::string& why, const char* hint) {
  return Error::invalid(in_quotes(rule) + " " + why).with_hint(hint);
}

// llc:LIST, numa:LIST: whole units of `each` CPUs.
Result<std::vector<unsigned>> units(std::string_view rule, std::string_view list, const char* unit,
                                    unsigned count, unsigned each) {
  auto numbers = parse_cpu_list(list, count);
  if (!numbers)
    return bad_rule(rule,
                    std::string("names no ") + unit + " of the topology, which has " + std::to_string(count),
                    "count from 0: \"llc:0\", \"numa:0-1\"");
  std::vector<unsigned> out;
  for (unsigned n : *numbers)
    for (unsigned cpu = n * each; cpu < (n + 1) * each; ++cpu) out.push_back(cpu);
  return out;
}

Result<std::vector<unsigned>> range(std::string_view rule, std::string_view text, unsigned cpus) {
  constexpr char kHint[] = "write it like \"range:0.0-0.5\", from a smaller fraction to a larger one";
  size_t dash = text.find('-');
  double from = 0, to = 0;
  if (dash == std::string_view::npos || !fraction(text.substr(0, dash), from) ||
      !fraction(text.substr(dash + 1), to) || from >= to)
    return bad_rule(rule, "is not a range of fractions", kHint);
  auto first = static_cast<unsigned>(from * cpus), end = static_cast<unsigned>(std::ceil(to * cpus - 1e-9));
  if (first >= end) return bad_rule(rule, "holds none of " + std::to_string(cpus) + " CPUs", kHint);
  return span(first, end);
}

// disjoint:I/N and overlap:I/N:F.
Result<std::vector<unsigned>> part(std::string_view rule, std::string_view text, bool overlap,
                                   unsigned cpus) {
  const char* hint = overlap ? "write it like \"overlap:0/2:0.5\"" : "write it like \"disjoint:0/2\"";
  double share = 0;
  if (overlap) {
    size_t colon = text.find(':');
    if (colon == std::string_view::npos || !fraction(text.substr(colon + 1), share))
      return bad_rule(rule, "does not end in a fraction", hint);
    text = text.substr(0, colon);
  }
  size_t slash = text.find('/');
  const auto read_index = parse_number<unsigned>(trim(text.substr(0, slash)));
  const auto read_parts =
      slash == std::string_view::npos ? std::nullopt : parse_number<unsigned>(trim(text.substr(slash + 1)));
  const unsigned index = read_index.value_or(0), parts = read_parts.value_or(0);
  if (!read_index || parts == 0) return bad_rule(rule, "is not a part of some parts", hint);
  if (index >= parts)
    return bad_rule(rule, "names part " + std::to_string(index) + " of " + std::to_string(parts),
                    "count from 0");
  unsigned each = cpus / parts;
  if (each == 0)
    return bad_rule(rule, "asks for more parts than there are CPUs: " + std::to_string(cpus),
                    "use fewer parts");
  auto shared = static_cast<unsigned>(std::lround(share * each));
  unsigned first = index * each, end = index + 1 == parts ? cpus : first + each;
  if (index > 0) first -= shared / 2;
  if (index + 1 < parts) end = std::min(cpus, end + (shared + 1) / 2);
  return span(first, end);
}

}  // namespace

Result<std::vector<unsigned>> resolve_cpu_rule(std::string_view rule, const TopologyT& topology) {
  const unsigned cpus = topology.llcs * topology.cores * topology.threads;
  size_t colon = rule.find(':');
  if (colon == std::string_view::npos) return parse_cpu_list(rule, cpus);
  std::string_view kind = trim(rule.substr(0, colon)), rest = rule.substr(colon + 1);
  if (kind == "llc") return units(rule, rest, "LLC", topology.llcs, topology.cores * topology.threads);
  if (kind == "numa") return units(rule, rest, "NUMA node", topology.numa_nodes, cpus / topology.numa_nodes);
  if (kind == "range") return range(rule, rest, cpus);
  if (kind == "disjoint") return part(rule, rest, false, cpus);
  if (kind == "overlap") return part(rule, rest, true, cpus);
  static const std::vector<std::string> kKinds = {"llc", "numa", "range", "disjoint", "overlap"};
  return Error::invalid(in_quotes(rule) + " names no CPUs" + did_you_mean(kind, kKinds))
      .with_hint("write " + std::string(cpus_forms()));
}

}  // namespace ktstr
