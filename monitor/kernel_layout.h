// What of one kernel build the monitor can read, and where: symbols less the KASLR offset, and byte offsets
// from the kernel's own BTF. The same for every boot of that build, so it is worked out once per build id.
//
// A Field that this kernel lacks has size 0, and its name is in `absent`; the others work without it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/btf_view.h"
#include "monitor/guest_memory.h"
#include "monitor/kallsyms.h"
#include "monitor/run_queue_counters.h"
#include "scx/constants.h"

namespace ktstr {

struct Field {
  uint32_t offset = 0;
  uint32_t size = 0;  // 0: absent
  bool is_signed = false;

  explicit operator bool() const { return size != 0; }
  // Value of the field in the struct at `base`, widened. Nullopt: absent, not a number, not readable.
  std::optional<uint64_t> read(const GuestMemory& memory, uint64_t base) const;
  // The same from a copy of the struct; 0: absent, not a number, not in the copy. (The guest's BTF, which is not trusted,
  // says where the field is.)
  uint64_t in(std::span<const uint8_t> bytes) const;
};

struct NamedField {
  std::string name;  // as it is published
  Field field;
};

// Structs that are copied whole: a kernel in which one is larger is not understood.
inline constexpr uint32_t kMaxEventBytesRead = 2048;
inline constexpr uint32_t kMaxDomainBytesRead = 2048;

// struct rq
struct RqLayout {
  Field nr_running, clock, curr, idle, domain;
  Field rt_nr_running;
  Field scx_nr_running, scx_flags, local_dsq_depth;
  Field runnable_list;  // its list_head: the sched_ext tasks that are runnable, the longest waiting first
  std::array<Field, kRunQueueCounters.size()> counters;  // as kRunQueueCounters
};

// struct task_struct
struct TaskLayout {
  Field pid, comm, sched_class;
  Field dsq, runnable_node, runnable_at;  // of sched_ext_entity; runnable_at in jiffies
  Field vtime, cpus_allowed;              // of sched_ext_entity; cpus_ptr
  Field tick_mult, tick_shift;  // of struct clocksource: one tick is mult >> shift ns of clocksource_jiffies
};

// struct scx_sched and what hangs on it
struct ScxLayout {
  Field exit_kind, ops_name;
  Field per_cpu;               // pointer to per-CPU memory that holds the events
  uint32_t events_offset = 0;  // of scx_event_stats in it
  uint32_t events_bytes = 0;
  std::vector<NamedField> events;
  std::map<uint64_t, std::string> states;  // enum scx_enable_state: "enabled"
};

// struct scx_dispatch_q, and the three ways to reach one
struct DsqLayout {
  Field id, depth, seq;
  Field hash_table;        // scx_sched.dsq_hash.tbl
  uint32_t hash_node = 0;  // of scx_dispatch_q.hash_node
  Field buckets_count, nest, future_table;
  uint32_t buckets = 0;      // of bucket_table.buckets
  Field next;                // rhash_head.next
  Field global_pointers;     // scx_sched.global_dsqs: array of pointers, by node
  Field node_pointers;       // scx_sched.pnode: array of pointers to scx_sched_pnode, by node
  uint32_t node_global = 0;  // of scx_sched_pnode.global_dsq
  Field bypass;              // scx_sched_pcpu.bypass_dsq (its place; size of the struct)
};

// struct sched_domain
struct DomainLayout {
  Field parent, level, name;
  uint32_t bytes = 0;  // of the struct; 0: not understood
  uint32_t span = 0;   // cpumask; 0: not known
  std::vector<NamedField> counters;
};

// struct bpf_prog, bpf_prog_aux, bpf_map, and the idr
struct ProgramLayout {
  Field idr_head;  // idr.idr_rt.xa_head
  Field node_shift;
  uint32_t node_slots = 0;
  Field type, insns, jited_bytes, tag, stats, aux;
  Field runs, run_ns, misses;             // bpf_prog_stats
  uint32_t stats_bytes = 0;               // from its start to the end of the last of them
  Field code, functions, function_count;  // bpf_prog.insnsi; bpf_prog_aux.func_info, .func_info_cnt
  uint32_t function_bytes = 0;  // of struct bpf_func_info, which begins with the instruction; 0: not known
  Field id, verified_insns, short_name, full_name, used_maps, used_map_count, attach_btf_id;
  Field map_id, map_type, map_key_size, map_value_size, map_max_entries, map_name;
  uint64_t struct_ops_type = 0;       // BPF_PROG_TYPE_STRUCT_OPS
  std::vector<uint64_t> ops_btf_ids;  // BTF ids of sched_ext_ops and its variants
};

// What freezing looks at beyond a sample.
struct FreezeLayout {
  Field task_state, task_flags;                // task_struct.__state, .scx.flags
  Field list_node;                             // task_struct.scx.dsq_list.node: where it hangs on a DSQ
  Field list_flags;                            // .scx.dsq_list.flags
  Field dsq_tasks;                             // scx_dispatch_q.list
  Field local_dsq;                             // rq.scx.local_dsq
  uint64_t cursor_flag = 1;                    // SCX_DSQ_LNODE_ITER_CURSOR: not a task
  uint64_t exit_unreg = kScxExitUnreg;         // SCX_EXIT_UNREG: user space took the scheduler out
  std::map<uint64_t, std::string> exit_names;  // enum scx_exit_kind: "error_stall"
};

// A process's threads and what they sleep in. x86-64: struct inactive_task_frame and pt_regs as they are there.
struct ThreadLayout {
  Field tasks, thread_node, tgid, stack, saved_sp, exec_start, parent, on_cpu;  // of task_struct
  Field signal, thread_head;      // task_struct.signal; signal_struct.thread_head
  Field exit_flags, exit_status;  // signal_struct.flags, .group_exit_code
  bool relative_symbols = false;  // Symbols.relative
};

// struct bpf_map and the kinds of map whose values can be found.
struct MapLayout {
  Field frozen, flags, btf, key_type, value_type, kernel_value_type;  // of bpf_map
  Field btf_data, btf_bytes;                    // struct btf: the raw BTF of the program
  Field array_values, array_stride;             // bpf_array
  Field buckets, bucket_count;                  // bpf_htab
  uint32_t bucket_bytes = 0, bucket_first = 0;  // struct bucket; 0 bytes: not known
  Field element_key;                            // htab_elem.key
  Field storage_buckets, storage_log;           // bpf_local_storage_map
  uint32_t storage_bucket_bytes = 0, storage_first = 0;
  Field storage_node, storage_head, storage_data, storage_owner;  // bpf_local_storage_elem, bpf_local_storage
  Field arena_start, arena_vm, vm_address;                        // bpf_arena, vm_struct
  Field ops_value;                                                // bpf_struct_ops_map.kvalue
  Field queue_head, queue_tail, queue_size, queue_elements;       // bpf_queue_stack
  Field ring, ring_consumer, ring_producer, ring_mask;            // bpf_ringbuf_map, bpf_ringbuf
  Field record, timer_offset;                                     // bpf_map.record, btf_record.timer_off
  Field timer, timer_queued, timer_expires;                       // bpf_async_kern, bpf_hrtimer
  std::map<uint64_t, std::string> type_names;                     // enum bpf_map_type: "percpu_array"
};

// Where sched_ext's watchdog keeps its time.
struct WatchdogLayout {
  Field of_scheduler;                 // scx_sched.watchdog_timeout, jiffies
  std::vector<uint64_t> value_types;  // BTF ids of bpf_struct_ops_sched_ext_ops and its variants
  Field state, timeout_ms;            // in such a value, while the scheduler is being loaded
  uint64_t state_ready = 3, state_in_use = 1;
};

struct KernelLayout {
  std::map<std::string, uint64_t, std::less<>> symbols;  // address less the KASLR offset
  uint64_t symbols_seen = 0;
  RqLayout rq;
  TaskLayout task;
  ScxLayout scx;
  DsqLayout dsq;
  DomainLayout domain;
  ProgramLayout program;
  FreezeLayout freeze;
  ThreadLayout threads;
  MapLayout map;
  WatchdogLayout watchdog;
  uint64_t system_running = 0;  // enum system_states: SYSTEM_RUNNING; 0: not known
  std::vector<std::string> absent;

  bool has(std::string_view symbol) const { return symbols.contains(symbol); }
};

// Names that build_layout() and the samplers ask for.
const std::vector<std::string>& wanted_symbols();

// Errors: only when not even run queues can be read (kUnsupported), else what is lacking is in `absent`.
Result<KernelLayout> build_layout(const BtfView& btf, const Symbols& symbols, uint64_t kaslr_offset);

// Parts of it, in files of their own (map_layout.cc).
class LayoutFinder;
FreezeLayout freeze_layout(LayoutFinder& find);
MapLayout map_layout(LayoutFinder& find);
WatchdogLayout watchdog_layout(LayoutFinder& find);

}  // namespace ktstr
