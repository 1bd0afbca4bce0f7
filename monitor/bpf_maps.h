// BPF maps in the guest: what a map is, and the addresses of its values. It reads no value.
//
// Kinds understood: arrays and hashes, plain and per CPU, LRU or not; queues and stacks (what leaves first comes first);
// task and cgroup storage; arenas. Every
// walk is bounded by a budget of steps, whatever the guest says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "monitor/guest_kernel.h"

namespace ktstr {

// enum bpf_map_type, as user space knows it.
enum class MapKind : uint32_t {
  kHash = 1,
  kArray = 2,
  kPerCpuHash = 5,
  kPerCpuArray = 6,
  kLruHash = 9,
  kLruPerCpuHash = 10,
  kQueue = 22,
  kStack = 23,
  kStructOps = 26,
  kRingBuffer = 27,
  kTaskStorage = 29,
  kCgroupStorage = 32,
  kArena = 33,
};

struct MapFacts {
  uint64_t address = 0;
  uint32_t id = 0, type = 0, key_size = 0, value_size = 0, max_entries = 0, flags = 0;
  uint32_t key_type = 0, value_type = 0;  // in its BTF; 0: none
  uint32_t kernel_value_type = 0;         // in the kernel's BTF: struct_ops
  uint64_t btf = 0;                       // struct btf of the program; 0: none
  uint64_t record = 0;                    // struct btf_record; 0: its values hold no timer, lock or kptr
  bool frozen = false;                    // no writes from outside BPF: .rodata
  std::string name;
  MapKind kind() const { return static_cast<MapKind>(type); }
};

inline constexpr uint32_t kMaxKeyBytes = 512;
inline constexpr uint32_t kMaxProgramBtf = 16u << 20;

// Nullopt: not readable, or nonsense.
std::optional<MapFacts> read_map_facts(const GuestKernel& kernel, uint64_t address);
// The maps that the scheduler's programs use, ascending ids. Nullopt: the programs could not be walked.
std::optional<std::vector<MapFacts>> scheduler_maps(const GuestKernel& kernel);
// All maps of the guest, through map_idr; stops when `visit` says false.
bool walk_all_maps(const GuestKernel& kernel, const std::function<bool(uint64_t address)>& visit);
// Raw BTF of the program that made the map; empty: it has none, or it is not readable.
std::vector<uint8_t> read_map_btf(const GuestKernel& kernel, const MapFacts& map);

// One element. Storage maps have no key: `owner` is the address of the task or cgroup.
struct MapElement {
  std::vector<uint8_t> key;
  uint64_t owner = 0;
  struct Copy {
    int cpu = -1;  // per-CPU maps; else -1
    uint64_t at = 0;
    uint32_t bytes = 0;
  };
  std::vector<Copy> copies;
};

// A struct bpf_timer in a value.
struct MapTimer {
  bool set = false;         // bpf_timer_init() was called
  bool armed = false;       // it will fire
  uint64_t expires_ns = 0;  // guest CLOCK_MONOTONIC, of the last start; 0: never started
};
// Of a value at `value`. Nullopt: values of this map hold none, or it is not readable.
std::optional<MapTimer> read_map_timer(const GuestKernel& kernel, const MapFacts& map, uint64_t value);

struct RingUse {
  uint64_t unread = 0, size = 0;  // bytes
};
// Of a ring buffer. Nullopt: another kind of map, or not readable.
std::optional<RingUse> read_ring_use(const GuestKernel& kernel, const MapFacts& map);

// Calls `visit` for each element until it says false. The text is empty, or why the walk ended early, for a
// person.
std::string walk_map(const GuestKernel& kernel, const MapFacts& map, uint32_t budget,
                     const std::function<bool(const MapElement&)>& visit);

}  // namespace ktstr
