#include "spec/topologies.h"

#include <algorithm>
#include <cstdio>

#include "base/wording.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

Result<NamedTopology> parse_name(const std::string& name) {
  NamedTopology t;
  char rest = 0;
  const bool read = std::sscanf(name.c_str(), "%3un%3ul%3uc%3ut%c", &t.numa_nodes, &t.llcs, &t.cores,
                                &t.threads, &rest) == 4;
  if (!read || t.name() != name) {
    std::vector<std::string> known = {"all", "small"};
    for (const NamedTopology& other : named_topologies()) known.push_back(other.name());
    const std::string near = closest(name, known);
    return Error::invalid("--topologies: there is no topology " + in_quotes(name))
        .with_hint(near.empty() ? "all, small, or NODESnLLCSlCOREScTHREADSt: 2n4l2c1t"
                                : "did you mean \"" + near + "\"?");
  }
  if (t.numa_nodes == 0 || t.cpus() == 0 || t.llcs % t.numa_nodes != 0)
    return Error::invalid("--topologies: " + name + " cannot be: " + count_of(t.llcs, "LLC") + " on " +
                          count_of(t.numa_nodes, "NUMA node"))
        .with_hint("each NUMA node holds the same number of LLCs");
  if (t.cpus() > kMaxVcpus)
    return Error::invalid("--topologies: " + name + " has " + std::to_string(t.cpus()) + " CPUs")
        .with_hint("a VM has " + std::to_string(kMaxVcpus) + " at most");
  return t;
}

}  // namespace

std::string NamedTopology::name() const {
  return std::to_string(numa_nodes) + "n" + std::to_string(llcs) + "l" + std::to_string(cores) + "c" +
         std::to_string(threads) + "t";
}

const std::vector<NamedTopology>& named_topologies() {
  static const std::vector<NamedTopology> table = {
      {1, 1, 1, 1},   // one CPU
      {1, 1, 2, 1},   //
      {1, 1, 2, 2},   // SMT, one LLC
      {1, 1, 4, 1},   //
      {1, 2, 2, 1},   // two LLCs
      {2, 2, 2, 1},   // two NUMA nodes
      {1, 5, 1, 1},   // an LLC for each CPU, an odd number of them
      {1, 3, 2, 1},   // an odd number of LLCs
      {1, 1, 8, 1},   //
      {1, 2, 2, 2},   // two LLCs, SMT
      {1, 4, 2, 1},   //
      {2, 4, 2, 1},   // two LLCs on each node
      {4, 4, 2, 1},   // four NUMA nodes
      {1, 3, 3, 1},   // nine CPUs: no power of two anywhere
      {1, 2, 8, 1},   //
      {2, 2, 4, 2},   //
      {4, 8, 2, 1},   //
      {2, 4, 4, 2},   // 32
      {2, 8, 8, 1},   // 64: one word of a CPU mask
      {1, 4, 17, 1},  // 68: more than one word
      {2, 8, 8, 2},   // 128
      {4, 8, 15, 2},  // 240: nearly what a VM can have
  };
  return table;
}

std::string topology_names(const std::vector<NamedTopology>& topologies) {
  std::string out;
  for (const NamedTopology& topology : topologies) out += (out.empty() ? "" : ",") + topology.name();
  return out;
}

Result<std::vector<NamedTopology>> pick_topologies(std::string_view list) {
  std::vector<NamedTopology> out;
  auto add = [&](const NamedTopology& topology) {
    if (std::none_of(out.begin(), out.end(), [&](const auto& t) { return t.name() == topology.name(); }))
      out.push_back(topology);
  };
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const std::string name(list.substr(at, end - at));
    at = end + 1;
    if (name == "all" || name == "small") {
      for (const NamedTopology& topology : named_topologies())
        if (name == "all" || topology.cpus() <= kSmallTopologyCpus) add(topology);
      continue;
    }
    auto topology = parse_name(name);
    if (!topology) return std::move(topology).error();
    add(*topology);
  }
  return out;
}

}  // namespace ktstr
