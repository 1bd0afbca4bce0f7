#include <array>

#include "monitor/walkers.h"

namespace ktstr {

std::optional<ScxRoot> read_scx_root(const GuestKernel& kernel) {
  ScxRoot root;
  const GuestPlaces& places = kernel.places();
  if (!places.scx_root) return root;
  const auto address = kernel.memory().pointer(places.scx_root);
  if (!address) return std::nullopt;
  root.address = *address;
  if (places.scx_enable_seq)
    root.enable_seq = kernel.memory().get<uint64_t>(places.scx_enable_seq).value_or(0);
  return root;
}

uint32_t read_scx_state(const GuestKernel& kernel) {
  const uint64_t at = kernel.places().scx_state;
  return at ? kernel.memory().get<uint32_t>(at).value_or(UINT32_MAX) : UINT32_MAX;
}

bool read_scx_facts(const GuestKernel& kernel, const ScxRoot& root, Reading& reading) {
  const GuestMemory& memory = kernel.memory();
  const ScxLayout& l = kernel.layout().scx;
  if (l.exit_kind) {
    const auto kind = l.exit_kind.read(memory, root.address);
    if (!kind) return false;
    reading.exit_kind = *kind;
  }
  if (l.ops_name) {
    const size_t size = std::min<size_t>(l.ops_name.size, reading.ops_name.size());
    if (!memory.read(root.address + l.ops_name.offset, reading.ops_name.data(), size)) return false;
    if (size < reading.ops_name.size()) reading.ops_name[size] = '\0';
  }

  if (!l.per_cpu || l.events.empty()) return true;
  const auto base = l.per_cpu.read(memory, root.address);
  if (!base || *base == 0) return false;
  std::array<uint8_t, kMaxEventBytesRead> stats;
  reading.counters.assign(l.events.size(), 0);
  for (uint32_t cpu = 0; cpu < kernel.cpus(); ++cpu) {
    if (!kernel.possible(cpu)) continue;
    if (!memory.read(kernel.per_cpu(*base, cpu) + l.events_offset, stats.data(), l.events_bytes))
      return false;
    for (size_t i = 0; i < l.events.size(); ++i)
      reading.counters[i] += l.events[i].field.in({stats.data(), l.events_bytes});
  }
  reading.has_counters = true;
  return true;
}

std::optional<uint64_t> read_watchdog_timeout(const GuestKernel& kernel) {
  const auto root = read_scx_root(kernel);
  std::optional<uint64_t> jiffies;
  if (kernel.layout().watchdog.of_scheduler) {
    if (root && root->address)
      jiffies = kernel.layout().watchdog.of_scheduler.read(kernel.memory(), root->address);
  } else if (kernel.places().watchdog_timeout) {
    jiffies = kernel.memory().get<uint64_t>(kernel.places().watchdog_timeout);
  }
  if (!jiffies || *jiffies > UINT32_MAX) return std::nullopt;
  return *jiffies * kernel.tick_ns();
}

}  // namespace ktstr
