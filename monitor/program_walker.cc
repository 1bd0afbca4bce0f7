#include <algorithm>
#include <array>

#include "base/text.h"
#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxName = 512;  // KSYM_NAME_LEN
constexpr size_t kTagBytes = 8;
constexpr int kSlots = 64;                     // XA_CHUNK_SIZE
constexpr size_t kMaxStatsBytes = 256;         // of bpf_prog_stats
constexpr uint64_t kRetryEntry = 256 * 4 + 2;  // XA_RETRY_ENTRY: the node is being replaced
constexpr size_t kMaxKnown = 4 * kMaxIdrEntries;

// An xarray entry: ...10 is a node (at entry - 2), ...00 an item. Each level's shift must be lower than its
// parent's, so a node that points back at itself ends the walk.
bool collect(const GuestKernel& kernel, uint64_t entry, int shift_limit, uint32_t& budget,
             std::vector<uint64_t>& found) {
  if (entry == 0) return true;
  if (budget == 0) return false;
  --budget;
  if ((entry & 3) == 0) {
    found.push_back(entry);
    return true;
  }
  if ((entry & 3) != 2) return true;              // a value: not ours
  if (entry < 4096) return entry != kRetryEntry;  // internal: a reserved or sibling slot holds no program
  const ProgramLayout& l = kernel.layout().program;
  const uint64_t node = entry - 2;
  const auto shift = l.node_shift.read(kernel.memory(), node);
  std::array<uint64_t, kSlots> slots;
  if (!shift || static_cast<int>(*shift) >= shift_limit) return false;
  if (!kernel.memory().read(node + l.node_slots, slots.data(), sizeof slots)) return false;
  for (const uint64_t slot : slots) {
    if (slot != 0 && !collect(kernel, slot, static_cast<int>(*shift), budget, found)) return false;
  }
  return true;
}

}  // namespace

bool collect_idr(const GuestKernel& kernel, uint64_t idr, std::vector<uint64_t>& found) {
  const auto head = kernel.layout().program.idr_head.read(kernel.memory(), idr);
  if (!head) return false;
  uint32_t budget = kMaxIdrEntries;
  return collect(kernel, *head, 64, budget, found);
}

void ProgramWalker::learn_maps(uint64_t aux, ProgramFacts& facts) const {
  const GuestMemory& memory = kernel_.memory();
  const ProgramLayout& l = kernel_.layout().program;
  const auto count = l.used_map_count.read(memory, aux);
  const auto array = l.used_maps.read(memory, aux);
  if (!count || !array || *array == 0) return;
  for (uint64_t i = 0; i < std::min<uint64_t>(*count, kMaxMapsPerProgram); ++i) {
    const auto map = memory.pointer(*array + i * 8);
    const auto id = map ? l.map_id.read(memory, *map) : std::nullopt;
    if (!id) return;
    facts.map_addresses.push_back(*map);
    MapSampleT& m = facts.maps.emplace_back();
    m.id = static_cast<uint32_t>(*id);
    m.name = memory.text(*map + l.map_name.offset, l.map_name.size).value_or("");
    m.type = static_cast<uint32_t>(l.map_type.read(memory, *map).value_or(0));
    m.key_size = static_cast<uint32_t>(l.map_key_size.read(memory, *map).value_or(0));
    m.value_size = static_cast<uint32_t>(l.map_value_size.read(memory, *map).value_or(0));
    m.max_entries = static_cast<uint32_t>(l.map_max_entries.read(memory, *map).value_or(0));
  }
}

void ProgramWalker::learn_facts(uint64_t program, uint64_t aux, ProgramFacts& facts) const {
  const GuestMemory& memory = kernel_.memory();
  const ProgramLayout& l = kernel_.layout().program;
  facts.insns = static_cast<uint32_t>(l.insns.read(memory, program).value_or(0));
  facts.jited_bytes = static_cast<uint32_t>(l.jited_bytes.read(memory, program).value_or(0));
  facts.verified_insns = static_cast<uint32_t>(l.verified_insns.read(memory, aux).value_or(0));
  std::array<uint8_t, kTagBytes> tag{};
  if (l.tag && memory.read(program + l.tag.offset, tag.data(), tag.size())) facts.tag = hex_bytes(tag);
  // "bpf_prog_TAG_name"; aux->name is cut to 15 characters.
  constexpr std::string_view kPrefix = "bpf_prog_";
  constexpr size_t kBeforeName = kPrefix.size() + 2 * kTagBytes + 1;
  const std::string full = l.full_name ? memory.text(aux + l.full_name.offset, kMaxName).value_or("") : "";
  if (full.starts_with(kPrefix) && full.size() > kBeforeName) {
    facts.name = full.substr(kBeforeName);
  } else if (l.short_name) {
    facts.name = memory.text(aux + l.short_name.offset, l.short_name.size).value_or("");
  }
  learn_maps(aux, facts);
}

// The facts of the program at `program`, read once. If another program reuses the address, its id differs.
const ProgramWalker::Known* ProgramWalker::learn(uint64_t program) {
  const GuestMemory& memory = kernel_.memory();
  const ProgramLayout& l = kernel_.layout().program;
  const auto aux = l.aux.read(memory, program);
  const auto id = aux ? l.id.read(memory, *aux) : std::nullopt;
  if (!id) return nullptr;
  if (const auto it = known_.find(program); it != known_.end() && it->second.id == *id) return &it->second;

  Known known;
  known.id = known.facts.id = static_cast<uint32_t>(*id);
  const auto type = l.type.read(memory, program);
  const auto attach = l.attach_btf_id.read(memory, *aux);
  const auto stats = l.stats.read(memory, program);
  if (!type || !stats) return nullptr;
  known.stats = *stats;
  const auto& ops = l.ops_btf_ids;
  known.ours = *type == l.struct_ops_type &&
               (!attach || ops.empty() || std::find(ops.begin(), ops.end(), *attach) != ops.end());
  if (known.ours) learn_facts(program, *aux, known.facts);
  return &known_.insert_or_assign(program, std::move(known)).first->second;
}

bool ProgramWalker::read_runs(const Known& known, ProgramReading& out,
                              std::vector<uint64_t>& cpu_runs) const {
  const ProgramLayout& l = kernel_.layout().program;
  std::array<uint8_t, kMaxStatsBytes> stats;
  if (known.stats == 0 || !l.runs || !l.run_ns || !l.misses || l.stats_bytes > stats.size()) return true;
  out.first_cpu_runs = static_cast<uint32_t>(cpu_runs.size());
  out.cpus = kernel_.cpus();
  for (uint32_t cpu = 0; cpu < kernel_.cpus(); ++cpu) {
    cpu_runs.push_back(0);
    if (!kernel_.possible(cpu)) continue;
    if (!kernel_.memory().read(kernel_.per_cpu(known.stats, cpu), stats.data(), l.stats_bytes)) return false;
    const std::span<const uint8_t> copy(stats.data(), l.stats_bytes);
    cpu_runs.back() = l.runs.in(copy);
    out.runs += cpu_runs.back();
    out.run_ns += l.run_ns.in(copy);
    out.misses += l.misses.in(copy);
  }
  return true;
}

bool ProgramWalker::read(Reading& reading) {
  const ProgramLayout& l = kernel_.layout().program;
  const uint64_t idr = kernel_.places().prog_idr;
  if (!idr || !l.idr_head || !l.aux || !l.id || !l.struct_ops_type) return true;
  found_.clear();
  if (!collect_idr(kernel_, idr, found_)) return false;
  if (known_.size() + found_.size() > kMaxKnown) known_.clear();
  for (const uint64_t program : found_) {
    const Known* known = learn(program);
    if (!known) return false;
    if (!known->ours) continue;
    if (reading.programs.size() == kMaxPrograms) break;
    ProgramReading one;
    one.facts = &known->facts;
    if (!read_runs(*known, one, reading.cpu_runs)) return false;
    reading.programs.push_back(one);
  }
  return true;
}

}  // namespace ktstr
