#include <array>

#include "monitor/walkers.h"

namespace ktstr {
namespace {

constexpr size_t kMaxOpsName = 128;  // SCX_OPS_NAME_LEN
constexpr size_t kMaxEvents = 4096;  // bytes of scx_event_stats

int64_t widen(const uint8_t* at, const Field& field) {
  uint64_t value = 0;
  std::memcpy(&value, at, field.size);
  const int spare = 64 - 8 * static_cast<int>(field.size);
  if (field.is_signed) return static_cast<int64_t>(value << spare) >> spare;
  return static_cast<int64_t>(value);
}

}  // namespace

std::optional<ScxRoot> read_scx_root(const GuestKernel& kernel) {
  ScxRoot root;
  const uint64_t at = kernel.symbol("scx_root");
  if (!at) return root;
  const auto address = kernel.memory().pointer(at);
  if (!address) return std::nullopt;
  root.address = *address;
  if (const uint64_t seq = kernel.symbol("scx_enable_seq")) {
    root.enable_seq = kernel.memory().get<uint64_t>(seq).value_or(0);
  }
  return root;
}

std::string read_scx_state(const GuestKernel& kernel) {
  const uint64_t at = kernel.symbol("scx_enable_state_var");
  const auto value = at ? kernel.memory().get<uint32_t>(at) : std::nullopt;
  if (!value) return {};
  const auto& states = kernel.layout().scx.states;
  const auto it = states.find(*value);
  return it == states.end() ? std::string() : it->second;
}

bool read_scx_root_facts(const GuestKernel& kernel, const ScxRoot& root, MonitorSampleT& sample) {
  const GuestMemory& memory = kernel.memory();
  const ScxLayout& l = kernel.layout().scx;
  if (l.exit_kind) {
    const auto kind = l.exit_kind.read(memory, root.address);
    if (!kind) return false;
    sample.exit_kind = *kind;
  }
  if (l.ops_name) sample.ops_name = memory.text(root.address + l.ops_name.offset, kMaxOpsName).value_or("");

  if (!l.per_cpu || l.events.empty() || l.events_bytes > kMaxEvents) return true;
  const auto base = l.per_cpu.read(memory, root.address);
  if (!base || *base == 0) return false;
  std::array<uint8_t, kMaxEvents> stats;
  std::vector<uint64_t> sums(l.events.size(), 0);  // unsigned: a lying guest may overflow them
  for (uint32_t cpu = 0; cpu < kernel.cpus(); ++cpu) {
    if (!kernel.possible(cpu)) continue;
    if (!memory.read(kernel.per_cpu(*base, cpu) + l.events_offset, stats.data(), l.events_bytes)) return false;
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] += static_cast<uint64_t>(widen(stats.data() + l.events[i].field.offset, l.events[i].field));
    }
  }
  sample.counters.reserve(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    auto counter = std::make_unique<CounterT>();
    counter->name = l.events[i].name;
    counter->value = static_cast<int64_t>(sums[i]);
    sample.counters.push_back(std::move(counter));
  }
  return true;
}

}  // namespace ktstr
