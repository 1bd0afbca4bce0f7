#include <array>

#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

constexpr int kMaxTables = 4;  // a resize chains the next table behind

class DsqReader {
 public:
  DsqReader(const GuestKernel& kernel, std::vector<DsqReading>& out)
      : memory_(kernel.memory()), l_(kernel.layout().dsq), out_(out) {}

  bool add(uint64_t dsq, DsqKind kind, uint32_t place, bool unless_empty) {
    const auto depth = l_.depth.read(memory_, dsq);
    const auto id = l_.id.read(memory_, dsq);
    if (!depth || !id) return false;
    if (unless_empty && *depth == 0) return true;
    out_.push_back({*id, static_cast<uint32_t>(*depth),
                    static_cast<uint32_t>(l_.seq.read(memory_, dsq).value_or(0)), kind, place, dsq});
    return true;
  }

  // All entries of a bucket_table and of the tables that a resize has chained to it.
  bool add_hash(uint64_t table) {
    for (int i = 0; table != 0; ++i) {
      if (i == kMaxTables) return false;
      const auto count = l_.buckets_count.read(memory_, table);
      const auto nest = l_.nest.read(memory_, table);
      const auto future = l_.future_table.read(memory_, table);
      // A nested table is made only when the kernel cannot allocate a flat one.
      if (!count || !nest || !future || *nest != 0 || *count > kMaxBuckets) return false;
      if (!add_buckets(table + l_.buckets, static_cast<uint32_t>(*count))) return false;
      table = *future;
    }
    return true;
  }

 private:
  bool add_buckets(uint64_t at, uint32_t count) {
    std::array<uint64_t, 64> heads;
    for (uint32_t done = 0; done < count; done += heads.size()) {
      const size_t some = std::min<size_t>(count - done, heads.size());
      if (!memory_.read(at + done * 8ull, heads.data(), some * 8)) return false;
      for (size_t i = 0; i < some; ++i) {
        // Bit 0 of a bucket is its lock; a chain ends at an odd pointer.
        uint64_t node = heads[i] & ~1ull;
        while (node != 0 && !(node & 1)) {
          if (++seen_ > kMaxDsqs || !add(node - l_.hash_node, DsqKind::User, 0, false)) return false;
          const auto next = l_.next.read(memory_, node);
          if (!next) return false;
          node = *next;
        }
      }
    }
    return true;
  }

  const GuestMemory& memory_;
  const DsqLayout& l_;
  std::vector<DsqReading>& out_;
  uint32_t seen_ = 0;
};

uint32_t node_count(const GuestKernel& kernel) {
  const uint64_t at = kernel.places().nr_node_ids;
  const auto nodes = at ? kernel.memory().get<uint32_t>(at) : std::nullopt;
  return nodes && *nodes > 0 && *nodes <= kMaxNodes ? *nodes : 1;
}

}  // namespace

bool read_dsqs(const GuestKernel& kernel, const ScxRoot& root, Reading& reading) {
  const GuestMemory& memory = kernel.memory();
  const DsqLayout& l = kernel.layout().dsq;
  if (!l.id || !l.depth) return true;
  DsqReader reader(kernel, reading.dsqs);

  if (l.hash_table) {
    const auto table = l.hash_table.read(memory, root.address);
    if (!table || !reader.add_hash(*table)) return false;
  }
  const Field& array = l.global_pointers ? l.global_pointers : l.node_pointers;
  if (array) {
    const auto pointers = array.read(memory, root.address);
    if (!pointers || *pointers == 0) return false;
    for (uint32_t node = 0; node < node_count(kernel); ++node) {
      const auto at = memory.pointer(*pointers + node * 8ull);
      if (!at) return false;
      if (*at == 0) continue;  // a node that is not there
      const uint64_t dsq = l.global_pointers ? *at : *at + l.node_global;
      if (!reader.add(dsq, DsqKind::Global, node, false)) return false;
      if (reading.dsqs.back().id != kScxDsqGlobal) return false;  // not what it should be: half built
    }
  }
  if (l.bypass && kernel.layout().scx.per_cpu) {
    const auto base = kernel.layout().scx.per_cpu.read(memory, root.address);
    if (!base || *base == 0) return false;
    for (const CpuReading& cpu : reading.cpus) {
      if (!reader.add(kernel.per_cpu(*base, cpu.cpu) + l.bypass.offset, DsqKind::Bypass, cpu.cpu, true))
        return false;
    }
  }
  return true;
}

}  // namespace ktstr
