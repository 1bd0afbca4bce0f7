// Topology of a test spec -> QEMU arguments with which the guest's sysfs shows it: NUMA nodes in
// /sys/devices/system/node, one cache/index3/shared_cpu_list per LLC, cores and SMT siblings under topology/.
//
// A NUMA node is a socket, an LLC is a die. vCPUs are numbered thread first, then core, LLC, node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// llcs * cores * threads. REQUIRES: check_topology() is ok.
uint32_t vcpu_count(const TopologyT& topology);
// kInvalid: a zero, llcs not a multiple of numa_nodes, more CPUs than 8-bit APIC ids reach (each level takes
// a power of two of them), less than 128 MiB in all or 64 MiB per node.
Status check_topology(const TopologyT& topology, uint32_t memory_mb);

struct TopologyRequest {
  TopologyT topology;
  uint32_t memory_mb = 1024;
  int ram_fd = -1;  // memfd that QEMU inherits; -1: anonymous memory
  bool kvm = false;
  bool host_amd = false;               // KVM only: vendor of the host's CPUs
  int qemu_major = 7, qemu_minor = 2;  // NUMA nodes within one RAM file are asked for differently from 8.1 on
};

struct TopologyArgs {
  std::string machine = "q35";    // machine type, with the memory backend it needs
  std::string cpu;                // -cpu
  std::string smp;                // -smp
  std::string memory;             // -m
  std::vector<std::string> more;  // ready arguments: memory backends, -numa
};
// Same errors as check_topology().
Result<TopologyArgs> topology_args(const TopologyRequest& request);

}  // namespace ktstr
