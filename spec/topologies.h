// Topologies by name, for `--topologies`: what schedulers treat differently, from one CPU to nearly 255.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

// As TopologyT (schemas/spec.fbs): `llcs` in all, a multiple of `numa_nodes`; `cores` per LLC; `threads` per core.
struct NamedTopology {
  unsigned numa_nodes = 1, llcs = 1, cores = 1, threads = 1;

  unsigned cpus() const { return llcs * cores * threads; }
  // "2n4l2c1t": nodes, LLCs, cores, threads.
  std::string name() const;
};

// The table, smallest first.
const std::vector<NamedTopology>& named_topologies();
// Up to this many CPUs a topology is one of `small`.
inline constexpr unsigned kSmallTopologyCpus = 8;

// "all", "small", or names with commas between them; a name that is well formed need not be in the table. kInvalid, with what there
// is.
Result<std::vector<NamedTopology>> pick_topologies(std::string_view list);

// "1n2l4c1t,2n4l2c1t", as pick_topologies() takes it; empty for none.
std::string topology_names(const std::vector<NamedTopology>& topologies);

}  // namespace ktstr
