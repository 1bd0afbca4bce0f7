#include "spec/cpu_set.h"

#include <charconv>
#include <cmath>

#include "base/text.h"
#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "spec/spec_attributes.h"

namespace ktstr {
namespace {

bool number(std::string_view text, unsigned& out) {
  text = trim(text);
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
      return Error::invalid(in_quotes(list) + " has a range that runs backwards: " + in_quotes(trim(part)))
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
  unsigned index = 0, parts = 0;
  if (slash == std::string_view::npos || !number(text.substr(0, slash), index) ||
      !number(text.substr(slash + 1), parts) || parts == 0)
    return bad_rule(rule, "is not a part of some parts", hint);
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

std::string cpu_list_text(const std::vector<unsigned>& cpus) {
  std::string out;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    out += (out.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (last > i) out += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return out;
}

}  // namespace ktstr
