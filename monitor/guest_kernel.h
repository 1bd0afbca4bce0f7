// An attached guest kernel: its memory, its layout, its CPUs. Found from the RAM file alone.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "monitor/guest_memory.h"
#include "monitor/kernel_layout.h"
#include "monitor/ram_file.h"
#include "monitor/vmcoreinfo.h"

namespace ktstr {

// Layouts by build id: the repro VM runs the kernel that the primary ran.
using LayoutCache = std::map<std::string, std::shared_ptr<const KernelLayout>, std::less<>>;

// Addresses in this boot; 0: this kernel has no such symbol.
struct GuestPlaces {
  uint64_t runqueues = 0, cpu_online_mask = 0, nr_node_ids = 0;
  uint64_t scx_root = 0, scx_enable_seq = 0, scx_state = 0;
  uint64_t prog_idr = 0, map_idr = 0;
  uint64_t watchdog_timeout = 0, watchdog_timestamp = 0;  // scx_watchdog_*, where they are globals
  uint64_t jiffies = 0;
  uint64_t init_task = 0, text_begin = 0, text_end = 0, sched_text_begin = 0, sched_text_end = 0;
  uint64_t bpf_call_base = 0;         // what calls in BPF instructions are relative to
  std::array<uint64_t, 7> classes{};  // by SchedClass
};

class GuestKernel {
 public:
  // More CPUs are not looked at.
  static constexpr uint32_t kMaxCpus = 1024;

  // `ram` outlives the result. Errors: kNotFound while the kernel is not up yet (try again), kUnsupported
  // when trying again is no use, kInvalid when what was found is not (yet) consistent.
  static Result<GuestKernel> attach(const RamFile& ram, RamLayout ram_layout, LayoutCache& cache);

  const PagedMemory& memory() const { return *memory_; }
  const KernelLayout& layout() const { return *layout_; }
  const VmcoreInfo& info() const { return info_; }
  bool levels5() const { return memory_->root().levels5; }
  bool cached() const { return cached_; }
  uint32_t cpus() const {
    return static_cast<uint32_t>(per_cpu_offset_.size());
  }  // possible CPU ids: [0, cpus)
  bool possible(uint32_t cpu) const { return possible_[cpu]; }

  const GuestPlaces& places() const { return places_; }
  // Of a per-CPU symbol or pointer. REQUIRES: cpu < cpus().
  uint64_t per_cpu(uint64_t base, uint32_t cpu) const { return base + per_cpu_offset_[cpu]; }
  // Of a tick; 0: not known.
  uint64_t tick_ns() const { return tick_ns_; }
  // CPUs that are online now, ascending; on a kernel that does not tell, the possible ones.
  void read_online(std::vector<uint16_t>& cpus) const;
  // Drops remembered page translations: before each sample.
  void refresh() const { memory_->forget(); }

 private:
  GuestKernel() = default;
  Status find_layout(LayoutCache& cache);
  Status find_cpus();
  Status check_running() const;
  void use_direct_map();
  void find_tick();
  uint64_t symbol(std::string_view name) const;  // 0: none

  VmcoreInfo info_;
  std::unique_ptr<PhysicalMemory> physical_;
  std::unique_ptr<PagedMemory> memory_;
  std::shared_ptr<const KernelLayout> layout_;
  GuestPlaces places_;
  uint64_t tick_ns_ = 0;
  bool cached_ = false;
  std::vector<uint64_t> per_cpu_offset_;
  std::vector<bool> possible_;
};

}  // namespace ktstr
