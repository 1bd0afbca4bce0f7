// The state of a scheduler at its exit, or at a long wait, copied while the VM is paused: run queues, the tasks of every DSQ, its
// maps.
//
// The work has two halves, so that the VM is paused only for the copying: capture() copies bytes from the guest,
// render() decodes them once the guest runs again. Both are bounded by FreezeLimits, and by the
// walkers' own bounds.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "monitor/bpf_maps.h"
#include "monitor/frozen_programs.h"
#include "monitor/frozen_threads.h"
#include "monitor/guest_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct FreezeLimits {
  uint32_t tasks_per_queue = 256;
  uint32_t maps = 128;
  uint32_t entries_per_map = 128;     // kept; more are counted
  uint32_t steps_per_map = 1u << 16;  // of a walk
  uint32_t value_bytes = 64u << 10;   // of one value; the rest is cut
  uint32_t total_bytes = 4u << 20;    // of all values
  uint64_t read_bytes = 256u << 20;   // looked at, those of arrays that are all zero included
  uint32_t fields_per_entry = 256;
  uint32_t total_fields = 20000;
};

// What capture() brought.
struct FrozenGuest {
  GuestFrozenT facts;  // cpus, dsqs, absent, ops_name; maps still empty
  struct Value {
    std::vector<uint8_t> key;
    uint64_t owner = 0;
    int32_t owner_pid = -1;  // storage of tasks: whose
    std::string owner_comm;
    int cpu = -1;
    std::optional<MapTimer> timer;
    std::vector<uint8_t> bytes;
  };
  struct Map {
    MapFacts facts;
    std::shared_ptr<const std::vector<uint8_t>> btf;  // shared by the maps of an object
    std::vector<Value> values;
    uint32_t left_out = 0;
    int64_t used = -1;  // FrozenMap.used
    std::string note;
  };
  std::vector<Map> maps;
  std::vector<ThreadCapture> threads;
  std::vector<ProgramCapture> programs;
};

// `scheduler_pid`: of its own process; 0: not known.
FrozenGuest capture(const GuestKernel& kernel, const FreezeLimits& limits = {}, int scheduler_pid = 0);
GuestFrozenT render(FrozenGuest frozen, const KernelLayout& layout, const FreezeLimits& limits = {});

// "S", as ps writes a task's state (frozen_queues.cc).
std::string task_state_letter(uint64_t state);
// run queues and dispatch queues (frozen_queues.cc)
void freeze_queues(const GuestKernel& kernel, const FreezeLimits& limits, GuestFrozenT& out);

}  // namespace ktstr
