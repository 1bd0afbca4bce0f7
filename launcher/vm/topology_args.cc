#include "launcher/vm/topology_args.h"

#include <bit>

#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr uint32_t kMaxEach = 256;
constexpr int kApicBits = 8;

int bits_for(uint32_t n) { return n <= 1 ? 0 : std::bit_width(n - 1); }

std::string text(uint64_t n) { return std::to_string(n); }

// One memory backend: `mb` MiB at `offset_mb` of the RAM file, or anonymous.
std::string backend(const std::string& id, uint32_t mb, uint32_t offset_mb, int ram_fd) {
  if (ram_fd < 0) return "memory-backend-ram,id=" + id + ",size=" + text(mb) + "M";
  return "memory-backend-file,id=" + id + ",size=" + text(mb) + "M,share=on,mem-path=/proc/self/fd/" +
         std::to_string(ram_fd) + (offset_mb != 0 ? ",offset=" + text(offset_mb) + "M" : "");
}

// The guest learns of a shared L3 only where its kernel looks for it: CPUID leaf 4 on Intel, 0x8000001d on
// AMD (with topoext). TCG's own "max" says AMD without topoext, and every CPU seems to have an L3 of its own;
// so TCG plays an Intel. An early one (Westmere): programs choose code by model number (GCC's target_clones), and would take
// a late one's AVX-512 for granted, which TCG has not: SIGILL in stress-ng. Under KVM the vendor stays the host's.
std::string cpu_model(const TopologyRequest& request) {
  if (!request.kvm) return "max,vendor=GenuineIntel,family=6,model=44,stepping=2,l3-cache=on";
  return std::string("max,host-cache-info=off,l3-cache=on") + (request.host_amd ? ",topoext=on" : "");
}

}  // namespace

uint32_t vcpu_count(const TopologyT& t) { return t.llcs * t.cores * t.threads; }

Status check_topology(const TopologyT& t, uint32_t memory_mb) {
  for (uint32_t n : {t.numa_nodes, t.llcs, t.cores, t.threads}) {
    if (n == 0 || n > kMaxEach)
      return Error::invalid("topology: each of numa_nodes, llcs, cores, threads is 1 to 256");
  }
  if (t.llcs % t.numa_nodes != 0) {
    return Error::invalid("topology: llcs (" + text(t.llcs) + ") is not a multiple of numa_nodes (" +
                          text(t.numa_nodes) + ")");
  }
  int bits =
      bits_for(t.numa_nodes) + bits_for(t.llcs / t.numa_nodes) + bits_for(t.cores) + bits_for(t.threads);
  bool last_is_broadcast = bits == kApicBits && vcpu_count(t) == 256;
  if (bits > kApicBits || last_is_broadcast) {
    return Error::invalid(
        "topology: too many CPUs: numa_nodes, llcs per node, cores and threads, each rounded up to a "
        "power of two, may make 256 at most, and 255 CPUs");
  }
  if (memory_mb < 128)
    return Error::invalid("memory_mb = " + text(memory_mb) + ": a guest needs 128 at least");
  if (memory_mb / t.numa_nodes < 64) {
    return Error::invalid("memory_mb = " + text(memory_mb) + ": each of " + text(t.numa_nodes) +
                          " NUMA nodes needs 64 at least");
  }
  return {};
}

Result<TopologyArgs> topology_args(const TopologyRequest& request) {
  const TopologyT& t = request.topology;
  if (auto s = check_topology(t, request.memory_mb); !s) return std::move(s).error();
  TopologyArgs args;
  args.memory = text(request.memory_mb) + "M";
  args.smp = text(vcpu_count(t)) + ",sockets=" + text(t.numa_nodes) + ",dies=" + text(t.llcs / t.numa_nodes) +
             ",cores=" + text(t.cores) + ",threads=" + text(t.threads);
  args.cpu = cpu_model(request);
  if (t.numa_nodes == 1) {
    args.machine = "q35,memory-backend=ram";
    args.more = {"-object", backend("ram", request.memory_mb, 0, request.ram_fd)};
    return args;
  }

  // Before 8.1 a backend cannot start within a file, so one backend is split by -numa's mem=, which only
  // machine types up to 5.0 take.
  bool offsets = request.qemu_major > 8 || (request.qemu_major == 8 && request.qemu_minor >= 1);
  if (!offsets) {
    args.machine = "pc-q35-5.0,memory-backend=ram";
    args.more = {"-object", backend("ram", request.memory_mb, 0, request.ram_fd)};
  }
  uint32_t per_node = request.memory_mb / t.numa_nodes, cpus = vcpu_count(t) / t.numa_nodes;
  for (uint32_t node = 0; node < t.numa_nodes; ++node) {
    uint32_t mb = node + 1 == t.numa_nodes ? request.memory_mb - per_node * node : per_node;
    std::string id = "ram" + text(node);
    if (offsets)
      args.more.insert(args.more.end(), {"-object", backend(id, mb, per_node * node, request.ram_fd)});
    args.more.insert(args.more.end(), {"-numa", "node,nodeid=" + text(node) + ",cpus=" + text(node * cpus) +
                                                    "-" + text((node + 1) * cpus - 1) +
                                                    (offsets ? ",memdev=" + id : ",mem=" + text(mb) + "M")});
  }
  return args;
}

}  // namespace ktstr
