#include "monitor/testing/synthetic_kernel.h"

#include <algorithm>
#include <stdexcept>

#include "bpf/btf_view.h"
#include "monitor/testing/synthetic_btf.h"

namespace ktstr::testing {
namespace {

// RAM: note and page tables in the first 2 MiB, image 2-10, heap 10-26 (direct map only), vmalloc pages
// from 26.
constexpr uint64_t kImageBase = 0xffffffff80000000ull;
constexpr uint64_t kImagePa = 2u << 20, kImageBytes = 8u << 20;
constexpr uint64_t kHeapPa = 10u << 20, kVmallocPa = 26u << 20;

std::string hex(uint64_t v) {
  char s[20];
  std::snprintf(s, sizeof s, "%llx", static_cast<unsigned long long>(v));
  return s;
}

}  // namespace

SyntheticKernel::SyntheticKernel(const SyntheticOptions& options)
    : options_(options), ram_(options.ram_bytes) {
  make_page_tables();
  make_run_queues();
  make_scheduler();
  make_domains();
  make_btf();
  make_maps();
  make_programs();
  make_kallsyms();
  make_note();
}

uint64_t SyntheticKernel::table() {
  const uint64_t pa = next_table_;
  next_table_ += 4096;
  if (next_table_ > kImagePa) throw std::logic_error("synthetic kernel: out of page tables");
  return pa;
}

// level 1: a 4 KiB page, 2: a 2 MiB page.
void SyntheticKernel::map(uint64_t va, uint64_t pa, int level) {
  uint64_t at = root_;
  for (int l = options_.levels5 ? 5 : 4; l > level; --l) {
    const uint64_t slot = at + ((va >> (12 + 9 * (l - 1))) & 511) * 8;
    uint64_t entry = 0;
    ram_.read(slot, &entry, 8);
    if (!(entry & 1)) {
      entry = table() | 0x63;
      ram_.write(slot, &entry, 8);
    }
    at = entry & 0x000ffffffffff000ull;
  }
  const uint64_t entry =
      pa | (level == 2 ? 0x80000000000001e3ull : 0x8000000000000163ull);  // NX, PS: bits to be masked
  ram_.write(at + ((va >> (12 + 9 * (level - 1))) & 511) * 8, &entry, 8);
}

void SyntheticKernel::make_page_tables() {
  direct_map_ =
      options_.levels5 ? 0xff11000040000000ull : 0xffff888040000000ull;  // randomized: not the default base
  vmalloc_ = options_.levels5 ? 0xffa0000000005000ull : 0xffffc90000005000ull;
  image_va_ = 0xffffffff81000000ull + options_.kaslr;
  phys_base_ = static_cast<int64_t>(kImagePa) - static_cast<int64_t>(image_va_ - kImageBase);
  root_ = kImagePa;  // init_top_pgt is in the image
  image_next_ = 4096;
  heap_next_ = kHeapPa;
  vmalloc_pa_ = kVmallocPa;
  vmalloc_next_ = vmalloc_;
  for (uint64_t off = 0; off < kImageBytes; off += 2u << 20) map(image_va_ + off, kImagePa + off, 2);
  for (uint64_t pa = 0; pa < ram_.size(); pa += 2u << 20) map(direct_map_ + pa, pa, 2);
  symbols_["init_top_pgt"] = image_va_;
  places_["vmalloc"] = vmalloc(3 * 4096);
}

uint64_t SyntheticKernel::offset_of(uint64_t va) const {
  if (va >= image_va_ && va < image_va_ + kImageBytes) return va - image_va_ + kImagePa;
  if (va >= direct_map_ && va < direct_map_ + ram_.size()) return va - direct_map_;
  // vmalloc: pages were taken two by two, swapped.
  const uint64_t page = (va - (vmalloc_ & ~0xfffull)) >> 12;
  return kVmallocPa + ((page ^ 1) << 12) + (va & 4095);
}

void SyntheticKernel::write(uint64_t va, const void* from, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  for (size_t i = 0; i < size; ++i) ram_.write(offset_of(va + i), bytes + i, 1);
}

uint64_t SyntheticKernel::image(uint64_t bytes) {
  const uint64_t va = image_va_ + image_next_;
  image_next_ += (bytes + 63) & ~63ull;
  if (image_next_ > kImageBytes) throw std::logic_error("synthetic kernel: image is full");
  return va;
}

uint64_t SyntheticKernel::heap(uint64_t bytes) {
  const uint64_t pa = heap_next_;
  heap_next_ += (bytes + 63) & ~63ull;
  if (heap_next_ > kVmallocPa) throw std::logic_error("synthetic kernel: heap is full");
  return direct_map_ + pa;
}

uint64_t SyntheticKernel::vmalloc(uint64_t bytes) {
  const uint64_t va = vmalloc_next_;
  vmalloc_next_ += (bytes + 63) & ~63ull;
  for (uint64_t page = va & ~4095ull; page < vmalloc_next_; page += 4096) map(page, offset_of(page), 1);
  return va;
}

uint64_t SyntheticKernel::text(const std::string& s) {
  const uint64_t va = image(s.size() + 1);
  write(va, s.c_str(), s.size() + 1);
  return va;
}

uint64_t SyntheticKernel::symbol(const std::string& name, uint64_t bytes) {
  const uint64_t va = image(bytes);
  symbols_[name] = places_[name] = va;
  return va;
}

void SyntheticKernel::make_run_queues() {
  poke<uint64_t>(symbol("phys_base", 8), static_cast<uint64_t>(phys_base_));
  poke<uint64_t>(symbol("page_offset_base", 8), direct_map_);
  poke<uint32_t>(symbol("nr_cpu_ids", 4), options_.cpus);
  poke<uint32_t>(symbol("nr_node_ids", 4), 1);
  poke<uint32_t>(symbol("system_state", 4), 3);
  poke<uint64_t>(symbol("jiffies_64", 8), 0x1'0000'0100);
  const uint64_t tick = symbol("clocksource_jiffies", 64);
  poke<uint32_t>(tick + kTickMult, 4'000'000u << 8);
  poke<uint32_t>(tick + kTickShift, 8);
  for (const char* name : {"stop", "dl", "rt", "fair", "ext", "idle"})
    symbol(std::string(name) + "_sched_class", 64);
  const uint64_t offsets = symbol("__per_cpu_offset", options_.cpus * 8);
  const uint64_t possible = symbol("__cpu_possible_mask", 128), online = symbol("__cpu_online_mask", 128);
  // The template copy of per-CPU data in the image is never used: each CPU's area is on the heap.
  const uint64_t base = symbol("per_cpu_template", per_cpu_stride_);
  symbols_["runqueues"] = base + 0x100;
  const uint64_t areas = heap(per_cpu_stride_ * options_.cpus);
  for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu) {
    const uint64_t offset = areas + cpu * per_cpu_stride_ - base;
    poke<uint64_t>(offsets + cpu * 8, offset);
    for (const uint64_t mask : {possible, online}) {
      uint8_t byte = 0;
      ram_.read(offset_of(mask + cpu / 8), &byte, 1);
      poke<uint8_t>(mask + cpu / 8, byte | (1u << (cpu % 8)));
    }
    const uint64_t rq = symbols_["runqueues"] + offset;
    places_["rq" + std::to_string(cpu)] = rq;
    const uint64_t idle = heap(kTaskBytes), task = places_["task" + std::to_string(cpu)] = heap(kTaskBytes);
    const uint64_t waiting = places_["waiting" + std::to_string(cpu)] = heap(kTaskBytes);
    poke<uint32_t>(rq + kRqRt + kRtRunning, cpu);
    const auto link = [&](std::initializer_list<uint64_t> ring) {  // list_heads: next, prev
      for (auto at = ring.begin(); at != ring.end(); ++at) {
        const uint64_t next = at + 1 == ring.end() ? *ring.begin() : *(at + 1);
        poke<uint64_t>(*at, next);
        poke<uint64_t>(next + 8, *at);
      }
    };
    link({rq + kRqScx + kScxRqRunnable, task + kTaskRunnable, waiting + kTaskRunnable});
    link({rq + kRqScx + kScxRqLocal + kDsqTasks, waiting + kTaskList});
    poke<uint64_t>(rq + kRqScx + kScxRqLocal + kDsqId, (1ull << 63) | 2);
    for (const uint64_t one : {task, waiting}) {
      poke<int32_t>(one + kTaskPid, static_cast<int32_t>(100 + cpu) + (one == waiting ? 100 : 0));
      write(one + kTaskComm, one == task ? "running" : "waiting", 8);
      poke<uint64_t>(one + kTaskClass, symbols_["ext_sched_class"]);
      poke<uint64_t>(one + kTaskRunnableAt, 0x1'0000'0100 - (one == task ? 90 : 50));  // jiffies
    }
    poke<uint64_t>(rq + kRqIdle, idle);
    poke<uint64_t>(rq + kRqCurr, cpu % 2 ? idle : task);
    poke<uint64_t>(rq + kRqClock, 1'000'000 + cpu);
    poke<uint32_t>(rq + kRqRunning, 10 + cpu);
    poke<uint32_t>(rq + kRqScx + kScxRqRunning, 5 + cpu);
    poke<uint32_t>(rq + kRqScx + kScxRqFlags, 0x20);
    poke<uint32_t>(rq + kRqScx + kScxRqLocal + kDsqDepth, 2 + cpu);
    poke<uint32_t>(rq + kRqSwitches, 100 + cpu);
    poke<uint64_t>(rq + kRqSchedInfo + 8, 7000 + cpu);
  }
}

void SyntheticKernel::make_scheduler() {
  const uint64_t scx = places_["scx"] = heap(kScxBytes);
  poke<uint64_t>(symbol("scx_root", 8), scx);
  poke<uint64_t>(symbol("scx_enable_seq", 8), 3);
  poke<uint32_t>(symbol("scx_enable_state_var", 4), 1);
  write(scx + kScxOpsName, "made_up", 8);
  if (options_.pcpu_layout)
    poke<uint64_t>(scx + kScxWatchdog, 1250);  // jiffies of 4 ms
  else
    poke<uint64_t>(symbol("scx_watchdog_timeout", 8), 1250);
  // Per-CPU events, in the per-CPU areas at 0x800.
  const uint64_t per_cpu = places_["per_cpu_template"] + 0x800;
  poke<uint64_t>(scx + kScxPerCpu, per_cpu);
  for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu) {
    const uint64_t rq = places_["rq" + std::to_string(cpu)];
    const uint64_t events = rq - symbols_["runqueues"] + per_cpu + (options_.pcpu_layout ? kPcpuEvents : 0);
    places_["events" + std::to_string(cpu)] = events;
    poke<int64_t>(events, 1000 + cpu);
    poke<int32_t>(events + 8, -static_cast<int32_t>(cpu));
    poke<int64_t>(events + 16, 1);
  }
  const uint64_t nodes = heap(64);
  poke<uint64_t>(scx + kScxGlobal, nodes);
  const uint64_t node = places_["global"] = heap(128);
  poke<uint64_t>(nodes, node);
  const uint64_t global = node + (options_.pcpu_layout ? kNodeGlobal : 0);
  poke<uint64_t>(global + kDsqId, (1ull << 63) | 1);
  poke<uint64_t>(global + kDsqTasks, global + kDsqTasks);
  poke<uint64_t>(global + kDsqTasks + 8, global + kDsqTasks);
  poke<uint32_t>(global + kDsqDepth, 9);

  constexpr uint32_t kBuckets = 64;
  const uint64_t hash = places_["dsq_table"] = heap(kTableBuckets + kBuckets * 8);
  poke<uint64_t>(scx + kScxHash + 8, hash);
  poke<uint32_t>(hash + kTableSize, kBuckets);
  std::vector<uint64_t> chain(kBuckets, 0);
  for (uint32_t i = 0; i < options_.user_dsqs; ++i) {
    const uint64_t dsq = places_["dsq" + std::to_string(i)] = heap(kDsqBytes);
    poke<uint64_t>(dsq + kDsqId, 0x100 + i);
    poke<uint32_t>(dsq + kDsqDepth, 20 + i);
    poke<uint64_t>(dsq + kDsqTasks, dsq + kDsqTasks);
    poke<uint64_t>(dsq + kDsqTasks + 8, dsq + kDsqTasks);
    const uint32_t bucket = i * 7 % kBuckets;
    poke<uint64_t>(dsq + kDsqNode, chain[bucket] ? chain[bucket] : (hash + 1));  // the last of a chain: odd
    chain[bucket] = dsq + kDsqNode;
  }
  for (uint32_t b = 0; b < kBuckets; ++b) {
    if (chain[b]) poke<uint64_t>(hash + kTableBuckets + b * 8, chain[b] | (b & 1));  // some are locked
  }
}

void SyntheticKernel::make_domains() {
  const uint64_t names[] = {text("SMT"), text("MC"), text("NUMA")};
  for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu) {
    uint64_t below = places_["rq" + std::to_string(cpu)] + kRqDomain;
    for (uint32_t level = 0; level < options_.domain_levels; ++level) {
      const uint64_t sd = heap(kDomainBytes + 128);
      places_.emplace("domain" + std::to_string(cpu * options_.domain_levels + level), sd);
      poke<uint64_t>(below, sd);
      below = sd + kDomainParent;
      poke<uint64_t>(sd + kDomainName, names[std::min(level, 2u)]);
      poke<int32_t>(sd + kDomainLevel, static_cast<int32_t>(level));
      poke<uint32_t>(sd + kDomainInterval, 8);
      for (uint32_t i = 0; i < 3; ++i) poke<uint32_t>(sd + kDomainLbCount + i * 4, i * 100 + cpu);
      for (uint32_t bit = 0; bit < options_.cpus; bit += 8) poke<uint8_t>(sd + kDomainBytes + bit / 8, 0xff);
      if (options_.cpus % 8) {
        poke<uint8_t>(sd + kDomainBytes + options_.cpus / 8,
                      static_cast<uint8_t>((1u << options_.cpus % 8) - 1));
      }
    }
  }
}

void SyntheticKernel::make_programs() {
  const uint64_t idr = symbol("prog_idr", 32);
  const uint64_t top = places_["idr_node"] = heap(kNodeSlots + 512);
  poke<uint8_t>(top + kNodeShift, 6);
  poke<uint64_t>(idr + kIdrHead, top + 2);
  uint64_t leaf = 0;
  const uint64_t per_cpu = places_["per_cpu_template"] + 0x1000;
  const uint64_t map = heap(kMapBytes), maps = heap(64);
  const char* const others[] = {"map.bss", "map.rodata", "map.hash", "map.percpu", "map.tasks"};
  poke<uint64_t>(maps, map);
  for (uint32_t i = 0; i < 5; ++i) poke<uint64_t>(maps + 8 + i * 8, places_[others[i]]);
  poke<uint32_t>(map + kMapId, 77);
  poke<uint32_t>(map + kMapEntries, 4096);
  write(map + kMapName, "a_map", 6);
  // The last two are none of ours: somebody's kprobe, and struct_ops of something else.
  for (uint32_t i = 0; i < options_.programs + 2; ++i) {
    const uint32_t id = i + 1;
    if (i == 0 || id % 64 == 0) {
      leaf = heap(kNodeSlots + 512);
      poke<uint8_t>(leaf + kNodeShift, 0);
      poke<uint64_t>(top + kNodeSlots + id / 64 * 8, leaf + 2);
    }
    const uint64_t program = vmalloc(64), aux = heap(1024);
    places_["program" + std::to_string(i)] = program;
    places_["aux" + std::to_string(i)] = aux;
    poke<uint64_t>(leaf + kNodeSlots + id % 64 * 8, program);
    poke<uint64_t>(program + kProgAux, aux);
    poke<uint32_t>(program + kProgType, i == options_.programs ? 2 : kStructOps);
    poke<uint32_t>(aux + kAuxAttach, i <= options_.programs ? ops_btf_id_ : ops_btf_id_ + 1);
    poke<uint32_t>(program + kProgLen, 50 + i);
    poke<uint32_t>(program + kProgJited, 300 + i);
    write(program + kProgTag, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
    poke<uint32_t>(aux + kAuxId, id);
    poke<uint32_t>(aux + kAuxVerified, 1234 + i);
    write(aux + kAuxName, "a_long_name_tha", 16);
    const std::string full = "bpf_prog_0123456789abcdef_a_long_name_that_goes_on_" + std::to_string(i);
    write(aux + kAuxKsymName, full.c_str(), full.size() + 1);
    poke<uint64_t>(aux + kAuxMaps, maps);
    poke<uint32_t>(aux + kAuxMapCount, i == 0 ? 6 : 1);  // the first uses them all
    const uint64_t stats = per_cpu + i * kStatsBytes;
    poke<uint64_t>(program + kProgStats, stats);
    for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu) {
      const uint64_t at = places_["rq" + std::to_string(cpu)] - symbols_["runqueues"] + stats;
      poke<uint64_t>(at + kStatsRuns, 10 + i);
      poke<uint64_t>(at + kStatsNs, 1000);
    }
  }
}

uint64_t SyntheticKernel::make_map(const std::string& name, uint32_t id, uint32_t type, uint32_t key,
                                   uint32_t value, uint32_t entries, uint64_t bytes) {
  const uint64_t map = heap(bytes);
  poke<uint32_t>(map + kMapId, id);
  poke<uint32_t>(map + kMapType, type);
  poke<uint32_t>(map + kMapKey, key);
  poke<uint32_t>(map + kMapValue, value);
  poke<uint32_t>(map + kMapEntries, entries);
  poke<uint64_t>(map + kMapBtf, places_["program_btf"]);
  write(map + kMapName, name.c_str(), name.size() + 1);
  return map;
}

void SyntheticKernel::make_maps() {
  const SyntheticProgramBtf btf = make_synthetic_program_btf();
  const uint64_t data = heap(btf.bytes.size());
  write(data, btf.bytes.data(), btf.bytes.size());
  const uint64_t object = places_["program_btf"] = heap(32);
  poke<uint64_t>(object + kBtfData, data);
  poke<uint32_t>(object + kBtfSize, static_cast<uint32_t>(btf.bytes.size()));

  const auto array = [&](const char* place, const char* name, uint32_t id, bool frozen) {
    const uint64_t map = places_[place] = make_map(name, id, 2, 4, 72, 1, kArrayValues + 72);
    poke<uint32_t>(map + kMapValueType, btf.bss);
    poke<uint32_t>(map + kArrayStride, 72);
    poke<uint8_t>(map + kMapFrozen, frozen);
    poke<uint64_t>(map + kArrayValues, 501);               // enqueued
    poke<uint32_t>(map + kArrayValues + 16, 18);           // cfg.limit
    poke<uint8_t>(map + kArrayValues + 16 + 4, 1);         // cfg.on
    poke<uint32_t>(map + kArrayValues + 16 + 8, 7);        // cfg.mode
    poke<int64_t>(map + kArrayValues + 16 + 16 + 16, -3);  // cfg.cells[2]
    write(map + kArrayValues + 16 + 48, "tagged", 6);
  };
  array("map.bss", "made_up.bss", 80, false);
  array("map.rodata", "made_up.rodata", 81, true);

  const uint64_t hash = places_["map.hash"] = make_map("cells", 82, 1, 4, 56, 1024, 112);
  poke<uint32_t>(hash + kMapKeyType, btf.number);
  poke<uint32_t>(hash + kMapValueType, btf.cfg);
  constexpr uint32_t kBuckets = 8;
  const uint64_t buckets = places_["buckets"] = heap(kBuckets * kBucketBytes);
  poke<uint64_t>(hash + kHashBuckets, buckets);
  poke<uint32_t>(hash + kHashCount, kBuckets);
  for (uint32_t i = 0; i < kBuckets; ++i)
    poke<uint64_t>(buckets + i * kBucketBytes + kBucketFirst, 2 * i + 1);
  for (uint32_t i = 0; i < 2; ++i) {  // a chain of two in bucket 3
    const uint64_t element = places_["element" + std::to_string(i)] = heap(kElementKey + 8 + 56);
    uint64_t first = 0;
    ram_.read(offset_of(buckets + 3 * kBucketBytes + kBucketFirst), &first, 8);
    poke<uint64_t>(element, first);
    poke<uint64_t>(buckets + 3 * kBucketBytes + kBucketFirst, element);
    poke<uint32_t>(element + kElementKey, 5 + i);
    poke<uint32_t>(element + kElementKey + 8, 50 + i);  // limit
  }

  const uint64_t percpu = places_["map.percpu"] = make_map("ctx", 83, 6, 4, 4, 2, kArrayValues + 16);
  poke<uint32_t>(percpu + kMapValueType, btf.number);
  poke<uint32_t>(percpu + kArrayStride, 8);
  const uint64_t area = places_["per_cpu_template"] + 0x4000;
  for (uint32_t i = 0; i < 2; ++i) poke<uint64_t>(percpu + kArrayValues + i * 8, area + i * 64);
  for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu)
    poke<uint32_t>(places_["rq" + std::to_string(cpu)] - symbols_["runqueues"] + area + 64, 900 + cpu);

  const uint64_t tasks = places_["map.tasks"] = make_map("task_ctx", 84, 29, 4, 56, 0, 112);
  poke<uint32_t>(tasks + kMapValueType, btf.cfg);
  const uint64_t store = heap(2 * 16), element = heap(kStorageData + 56), head = heap(32);
  poke<uint64_t>(tasks + kStorageBuckets, store);
  poke<uint32_t>(tasks + kStorageLog, 1);
  poke<uint64_t>(store + 16, element + kStorageNode);
  poke<uint64_t>(element + kStorageHead, head);
  poke<uint64_t>(head + kStorageOwner, places_["task0"]);
  poke<uint32_t>(element + kStorageData, 33);

  const uint64_t ops = places_["map.ops"] = make_map("made_up_ops", 85, 26, 4, 256, 1, kOpsMapValue + 256);
  poke<uint32_t>(ops + kMapKernelType, ops_value_btf_id_);
  places_["ops_value"] = ops + kOpsMapValue;
  poke<uint32_t>(ops + kOpsMapValue + kOpsValueState, 3);
  poke<uint32_t>(ops + kOpsMapValue + kOpsValueData + kOpsTimeout, 5000);
  const uint64_t idr = symbol("map_idr", 32), node = heap(kNodeSlots + 512);
  poke<uint64_t>(idr + kIdrHead, node + 2);
  poke<uint64_t>(node + kNodeSlots + 3 * 8, ops);
  poke<uint64_t>(node + kNodeSlots + 4 * 8, places_["map.bss"]);
}

void SyntheticKernel::make_btf() {
  const std::vector<uint8_t> bytes = make_synthetic_btf({options_.pcpu_layout});
  const uint64_t va = image(bytes.size());
  write(va, bytes.data(), bytes.size());
  const BtfView view = BtfView::from_bytes(bytes).value();
  ops_btf_id_ = view.find_struct("sched_ext_ops").value();
  ops_value_btf_id_ = view.find_struct("bpf_struct_ops_sched_ext_ops").value();
  symbols_["__start_BTF"] = va;
  symbols_["__stop_BTF"] = va + bytes.size();
}

// Tokens: every character is its own token, and a few unused ones for longer strings, as the kernel's own
// do.
void SyntheticKernel::make_kallsyms() {
  std::vector<std::string> tokens(256);
  for (int c = 1; c < 256; ++c) tokens[c] = std::string(1, static_cast<char>(c));
  const std::pair<int, std::string> longer[] = {{1, "scx_"}, {2, "__"}, {3, "cpu_"}, {4, "enable"}};
  for (const auto& [at, token] : longer) tokens[at] = token;
  std::string table;
  std::vector<uint16_t> index;
  for (const std::string& token : tokens) {
    index.push_back(static_cast<uint16_t>(table.size()));
    table += token + '\0';
  }
  std::map<std::string, uint64_t> all = symbols_;
  for (int i = 0; i < 2000; ++i)
    all["filler_function_" + std::to_string(i)] = image_va_ + 64u * static_cast<unsigned>(i);
  all["a_name_longer_than_127_" + std::string(200, 'x')] = image_va_;  // a length of two bytes
  const uint64_t offsets = image(all.size() * 4);
  std::string names;
  uint64_t at = 0;
  for (const auto& [name, address] : all) {
    std::string code = "T" + name;
    for (const auto& [number, token] : longer) {
      for (size_t p; (p = code.find(token, 1)) != std::string::npos;)
        code.replace(p, token.size(), 1, static_cast<char>(number));
    }
    if (code.size() >= 128) {
      names += static_cast<char>(0x80 | (code.size() & 0x7f));
      names += static_cast<char>(code.size() >> 7);
    } else {
      names += static_cast<char>(code.size());
    }
    names += code;
    const uint64_t slot = offsets + at++ * 4;
    poke<uint32_t>(slot,
                   static_cast<uint32_t>(options_.relative_base ? address - image_va_ : address - slot));
  }
  kallsyms_ = {{"kallsyms_names", image(names.size())},
               {"kallsyms_num_syms", image(4)},
               {"kallsyms_token_table", image(table.size())},
               {"kallsyms_token_index", image(512)},
               {"kallsyms_offsets", offsets}};
  write(kallsyms_["kallsyms_names"], names.data(), names.size());
  poke<uint32_t>(kallsyms_["kallsyms_num_syms"], static_cast<uint32_t>(all.size()));
  write(kallsyms_["kallsyms_token_table"], table.data(), table.size());
  write(kallsyms_["kallsyms_token_index"], index.data(), 512);
  if (options_.relative_base) {
    kallsyms_["kallsyms_relative_base"] = image(8);
    poke<uint64_t>(kallsyms_["kallsyms_relative_base"], image_va_);
  }
  for (const auto& [name, va] : kallsyms_) places_[name] = va;
}

void SyntheticKernel::make_note() {
  std::string text = "OSRELEASE=9.9.9-synthetic\nBUILD-ID=00112233\nPAGESIZE=4096\n";
  text += "SYMBOL(init_top_pgt)=" + hex(symbols_["init_top_pgt"]) + "\n";
  for (const auto& [name, va] : kallsyms_) text += "SYMBOL(" + name + ")=" + hex(va) + "\n";
  text += "NUMBER(phys_base)=" + std::to_string(phys_base_) + "\n";
  text += "NUMBER(pgtable_l5_enabled)=" + std::to_string(options_.levels5) + "\n";
  text += "KERNELOFFSET=" + hex(options_.kaslr) + "\n";
  const uint32_t head[3] = {11, static_cast<uint32_t>(text.size()), 0};
  ram_.write(kNoteOffset, head, 12);
  ram_.write(kNoteOffset + 12, "VMCOREINFO\0", 12);
  ram_.write(kNoteOffset + 24, text.data(), text.size());
}

}  // namespace ktstr::testing
