// Topology of a test spec -> QEMU arguments with which the guest's sysfs shows it: NUMA nodes in
// /sys/devices/system/node, one cache/index3/shared_cpu_list per LLC, cores and SMT siblings under topology/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/result.h"
#include "schemas/spec_generated.h"

namespace ktstr {

inline constexpr uint32_t kMaxVcpus = 255;  // q35 without an interrupt remapper

// llcs * cores * threads. REQUIRES: check_topology() is ok.
uint32_t vcpu_count(const TopologyT& topology);
// kInvalid: zeros, llcs not a multiple of numa_nodes, more than kMaxVcpus vCPUs, memory not divisible (each node
// needs at least 128 MiB).
Status check_topology(const TopologyT& topology, uint32_t memory_mb);

struct TopologyArgs {
  std::string smp;                   // -smp's value
  std::vector<std::string> numa;     // ready arguments: "-object", ..., "-numa", ...
  std::string memory_backend;        // -machine memory-backend=...; empty when `numa` places the memory
  std::string cpu_flags;             // to append to -cpu's model, starting with ','; may be empty
};

struct TopologyRequest {
  TopologyT topology;
  uint32_t memory_mb = 1024;
  int ram_fd = -1;      // memfd that QEMU inherits; -1: anonymous memory
  bool kvm = false;
};
// Same errors as check_topology().
Result<TopologyArgs> topology_args(const TopologyRequest& request);

}  // namespace ktstr
