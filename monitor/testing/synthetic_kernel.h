// A guest kernel made up for tests and benchmarks: a RAM image with page tables, a VMCOREINFO note, a
// compressed symbol table, BTF and the scheduler's structures. Its offsets are like no real kernel's, so what
// reads them took them from the BTF. Tests spoil it with poke().
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "monitor/ram_file.h"

namespace ktstr::testing {

class VectorRam : public RamFile {
 public:
  explicit VectorRam(uint64_t size) : bytes_(size, 0) {}
  uint64_t size() const override { return bytes_.size(); }
  bool read(uint64_t offset, void* out, size_t size) const override {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return false;
    std::memcpy(out, bytes_.data() + offset, size);
    return true;
  }
  std::vector<ByteRange> data_ranges() const override { return {{0, bytes_.size()}}; }
  void write(uint64_t offset, const void* from, size_t size) {
    std::memcpy(bytes_.data() + offset, from, size);
  }

 private:
  std::vector<uint8_t> bytes_;
};

struct SyntheticOptions {
  uint32_t cpus = 4;
  bool levels5 = false;
  bool relative_base = true;  // kallsyms as 6.16 has it; false: as 7.2
  bool pcpu_layout = true;    // scx_sched.pcpu and pnode as 7.2 has them; false: event_stats_cpu, global_dsqs
  uint64_t kaslr = 0x12000000;
  uint32_t domain_levels = 2;
  uint32_t programs = 8;  // of sched_ext; there are two more
  uint32_t user_dsqs = 2;
  uint64_t ram_bytes = 32u << 20;
};

class SyntheticKernel {
 public:
  explicit SyntheticKernel(const SyntheticOptions& options = {});

  const VectorRam& ram() const { return ram_; }
  RamLayout ram_layout() const { return {ram_.size(), ram_.size()}; }
  const SyntheticOptions& options() const { return options_; }

  // Addresses. Names of symbols as the kernel's; other places by the builder's own names, for tests:
  // "rq0", "scx", "events0", "dsq0", "dsq_table", "domain0", "program0", "aux0", "idr_node", "vmalloc" (three
  // pages). Maps of the scheduler: "map.bss", "map.rodata", "map.hash" (keys 5 and 6), "map.percpu",
  // "map.tasks", "map.ops"; "buckets", "element0", "element1", "program_btf", "ops_value".
  uint64_t at(const std::string& name) const { return places_.at(name); }
  // Of the top page table, and a VA of each kind of mapping.
  uint64_t root_gpa() const { return root_; }
  uint64_t direct_map() const { return direct_map_; }
  uint64_t vmalloc_va() const { return vmalloc_; }

  template <typename T>
  void poke(uint64_t va, T value) {
    write(va, &value, sizeof value);
  }
  void write(uint64_t va, const void* from, size_t size);
  // Offset in RAM of a mapped address.
  uint64_t offset_of(uint64_t va) const;
  // Where the note is, in RAM.
  static constexpr uint64_t kNoteOffset = 0x3000;

 private:
  void map(uint64_t va, uint64_t pa, int level);
  uint64_t table();                  // a fresh page table
  uint64_t image(uint64_t bytes);    // in the kernel's image
  uint64_t heap(uint64_t bytes);     // in the direct map
  uint64_t vmalloc(uint64_t bytes);  // page by page, out of order
  uint64_t text(const std::string& s);
  uint64_t symbol(const std::string& name, uint64_t bytes);
  void make_page_tables();
  void make_run_queues();
  void make_scheduler();
  void make_domains();
  void make_programs();
  void make_maps();
  uint64_t make_map(const std::string& name, uint32_t id, uint32_t type, uint32_t key, uint32_t value,
                    uint32_t entries, uint64_t bytes);
  void make_btf();
  void make_kallsyms();
  void make_note();

  SyntheticOptions options_;
  VectorRam ram_;
  std::map<std::string, uint64_t> places_;
  std::map<std::string, uint64_t> symbols_;
  uint64_t root_ = 0, direct_map_ = 0, vmalloc_ = 0;
  uint64_t next_table_ = 0x10000;
  uint64_t image_va_ = 0, image_next_ = 0, heap_next_ = 0, vmalloc_next_ = 0, vmalloc_pa_ = 0;
  int64_t phys_base_ = 0;
  uint32_t ops_btf_id_ = 0, ops_value_btf_id_ = 0;
  uint64_t per_cpu_stride_ = 0x10000;
  std::map<std::string, uint64_t> kallsyms_;
};

}  // namespace ktstr::testing
