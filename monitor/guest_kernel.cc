#include "monitor/guest_kernel.h"

#include <algorithm>

namespace ktstr {
namespace {

constexpr uint64_t kImageBase = 0xffffffff80000000ull;
constexpr uint64_t kMaxBtf = 64u << 20;
constexpr int kMaxNotes = 8;  // stale notes stepped over

// Bits of a cpumask; false bits for what cannot be read.
std::vector<bool> read_mask(const GuestMemory& memory, uint64_t va, uint32_t bits) {
  std::vector<bool> out(bits, false);
  for (uint32_t word = 0; word * 64 < bits; ++word) {
    const uint64_t value = memory.get<uint64_t>(va + word * 8).value_or(0);
    for (uint32_t i = 0; i < 64 && word * 64 + i < bits; ++i) out[word * 64 + i] = (value >> i) & 1;
  }
  return out;
}

Result<PageTableRoot> root_of(const VmcoreInfo& info) {
  const auto top = info.symbol("init_top_pgt");
  const auto phys_base = info.number("phys_base");
  if (!top || !phys_base) {
    return Error::unsupported("VMCOREINFO lacks init_top_pgt or phys_base: not an x86-64 kernel's");
  }
  return PageTableRoot{*top - kImageBase + static_cast<uint64_t>(*phys_base),
                       info.number("pgtable_l5_enabled").value_or(0) != 0};
}

}  // namespace

Result<GuestKernel> GuestKernel::attach(const RamFile& ram, RamLayout ram_layout, LayoutCache& cache) {
  Error last = Error::not_found("no VMCOREINFO note in guest RAM yet");
  uint64_t from = 0;
  for (int i = 0; i < kMaxNotes; ++i) {
    auto found = find_vmcoreinfo(ram, from);
    if (!found) return i == 0 ? std::move(found).error() : std::move(last);
    from = found->offset + 1;

    GuestKernel kernel;
    kernel.info_ = std::move(found->info);
    const auto root = root_of(kernel.info_);
    if (!root) {
      last = root.error();
      continue;
    }
    kernel.physical_ = std::make_unique<PhysicalMemory>(ram, ram_layout);
    kernel.memory_ = std::make_unique<PagedMemory>(*kernel.physical_, *root);
    Status status = kernel.find_layout(cache);
    if (status) status = kernel.check_running();
    if (status) status = kernel.find_cpus();
    if (status) {
      kernel.use_direct_map();
      return kernel;
    }
    last = std::move(status).error().within("kernel " + std::string(kernel.info_.release().substr(0, 64)));
  }
  return last;
}

Status GuestKernel::find_layout(LayoutCache& cache) {
  std::string key(info_.build_id());
  key += ' ';
  key += info_.release();
  if (const auto it = cache.find(key); it != cache.end()) {
    layout_ = it->second;
    cached_ = true;
    return {};
  }
  const auto tables = KallsymsTables::from(info_);
  if (!tables) return tables.error();
  const auto top = info_.symbol("init_top_pgt");
  auto symbols = decode_kallsyms(*memory_, *tables, wanted_symbols(), {"init_top_pgt", *top});
  if (!symbols) return std::move(symbols).error();

  const auto start = symbols->address.find("__start_BTF");
  const auto stop = symbols->address.find("__stop_BTF");
  if (start == symbols->address.end() || stop == symbols->address.end()) {
    return Error::unsupported("the kernel holds no BTF").with_hint("build it with CONFIG_DEBUG_INFO_BTF");
  }
  if (stop->second <= start->second || stop->second - start->second > kMaxBtf) {
    return Error::invalid("__start_BTF and __stop_BTF are senseless");
  }
  std::vector<uint8_t> bytes(stop->second - start->second);
  if (!memory_->read(start->second, bytes.data(), bytes.size())) return Error::invalid("BTF is not readable");
  const auto btf = BtfView::from_bytes(bytes);
  if (!btf) return btf.error();
  auto layout = build_layout(*btf, *symbols, info_.kaslr_offset());
  if (!layout) return std::move(layout).error();
  layout_ = std::make_shared<const KernelLayout>(std::move(*layout));
  if (!info_.build_id().empty()) cache.emplace(std::move(key), layout_);
  return {};
}

Status GuestKernel::check_running() const {
  if (const uint64_t at = symbol("phys_base")) {
    const auto value = memory_->get<uint64_t>(at);
    if (!value || static_cast<int64_t>(*value) != info_.number("phys_base")) {
      return Error::invalid("VMCOREINFO is stale: phys_base differs");
    }
  }
  const uint64_t state = symbol("system_state");
  if (state && layout_->system_running) {
    const auto value = memory_->get<uint32_t>(state);
    if (!value || *value < layout_->system_running) return Error::not_found("still booting");
  }
  return {};
}

Status GuestKernel::find_cpus() {
  const auto ids = memory_->get<uint32_t>(symbol("nr_cpu_ids"));
  if (!ids || *ids == 0 || *ids > 65536) return Error::invalid("nr_cpu_ids is senseless");
  const uint32_t count = std::min(*ids, kMaxCpus);
  per_cpu_offset_.resize(count);
  if (!memory_->read(symbol("__per_cpu_offset"), per_cpu_offset_.data(), count * sizeof(uint64_t))) {
    return Error::invalid("__per_cpu_offset is not readable");
  }
  places_ = {.runqueues = symbol("runqueues"),
             .cpu_online_mask = symbol("__cpu_online_mask"),
             .nr_node_ids = symbol("nr_node_ids"),
             .scx_root = symbol("scx_root"),
             .scx_enable_seq = symbol("scx_enable_seq"),
             .scx_state = symbol("scx_enable_state_var"),
             .prog_idr = symbol("prog_idr"),
             .map_idr = symbol("map_idr"),
             .watchdog_timeout = symbol("scx_watchdog_timeout"),
             .watchdog_timestamp = symbol("scx_watchdog_timestamp"),
             .jiffies = symbol("jiffies_64"),
             .init_task = symbol("init_task"),
             .text_begin = symbol("_stext"),
             .text_end = symbol("_etext"),
             .sched_text_begin = symbol("__sched_text_start"),
             .sched_text_end = symbol("__sched_text_end"),
             .bpf_call_base = symbol("__bpf_call_base"),
             .classes = {0, symbol("stop_sched_class"), symbol("dl_sched_class"), symbol("rt_sched_class"),
                         symbol("fair_sched_class"), symbol("ext_sched_class"), symbol("idle_sched_class")}};
  find_tick();
  const uint64_t mask = symbol("__cpu_possible_mask");
  possible_ = mask ? read_mask(*memory_, mask, count) : std::vector<bool>(count, true);
  return {};
}

// HZ is nowhere a variable; the clocksource that counts jiffies knows how long one is.
void GuestKernel::find_tick() {
  const uint64_t at = symbol("clocksource_jiffies");
  const auto mult = at ? layout_->task.tick_mult.read(*memory_, at) : std::nullopt;
  const auto shift = at ? layout_->task.tick_shift.read(*memory_, at) : std::nullopt;
  if (!mult || !shift || *shift > 31) return;
  const uint64_t tick = *mult >> *shift;
  if (tick >= 100'000 && tick <= 100'000'000) tick_ns_ = tick;  // HZ from 10 to 10,000
}

// Most of what is sampled lies in the direct map, where an address is an addition and no page walk. Believed
// only when the page tables say the same of one address in it.
void GuestKernel::use_direct_map() {
  const uint64_t at = symbol("page_offset_base");
  const auto base = at ? memory_->get<uint64_t>(at) : std::nullopt;
  if (!base || *base == 0 || *base % 4096 != 0) return;
  const uint64_t probe = memory_->root().gpa & ~uint64_t{4095};
  if (walk_page_tables(*physical_, memory_->root(), *base + probe) == probe) memory_->set_direct_map(*base);
}

uint64_t GuestKernel::symbol(std::string_view name) const {
  const auto it = layout_->symbols.find(name);
  return it == layout_->symbols.end() ? 0 : it->second + info_.kaslr_offset();
}

void GuestKernel::read_online(std::vector<uint16_t>& online) const {
  online.clear();
  uint64_t word = 0;
  for (uint32_t cpu = 0; cpu < cpus(); ++cpu) {
    if (places_.cpu_online_mask) {
      if (cpu % 64 == 0) word = memory_->get<uint64_t>(places_.cpu_online_mask + cpu / 8).value_or(0);
      if ((word >> (cpu % 64)) & 1) online.push_back(static_cast<uint16_t>(cpu));
    } else if (possible_[cpu]) {
      online.push_back(static_cast<uint16_t>(cpu));
    }
  }
}

}  // namespace ktstr
