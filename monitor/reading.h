// What one sample saw, as plain values. Walkers fill it; its vectors are reused, so that a sample allocates
// nothing once it has grown to the guest's size. to_event() makes the published form of it, after the clock
// was stopped.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "monitor/kernel_layout.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct TaskReading {
  int32_t pid = -1;
  std::array<char, 16> comm{};  // not terminated when full
  SchedClass sched_class = SchedClass::Unknown;
  uint64_t wait_ns = 0;
  uint64_t dsq_id = 0;
};

struct CpuReading {
  uint16_t cpu = 0;
  bool idle = false;
  uint32_t nr_running = 0, scx_nr_running = 0, local_dsq_depth = 0, scx_flags = 0;
  uint64_t rq_clock = 0;
  uint32_t rt_nr_running = 0;
  bool has_curr = false, has_waiting = false;
  TaskReading curr, longest_waiting;
  bool has_stats = false;  // the kernel keeps them
  RunQueueStatsT stats;
};

struct DomainReading {
  uint16_t cpu = 0;
  uint32_t level = 0;
  std::array<char, 16> name{};  // not terminated when full
  uint32_t first_value = 0;     // in Reading::domain_values: one for each of DomainLayout::counters
  uint32_t first_span = 0;      // in Reading::domain_spans: Reading::span_words words
};

struct DsqReading {
  uint64_t id = 0;
  uint32_t depth = 0, seq = 0;
  DsqKind kind = DsqKind::User;
  uint32_t place = 0;
  uint64_t address = 0;
};

// What of a program never changes.
struct ProgramFacts {
  uint32_t id = 0;
  std::string name, tag;
  uint32_t insns = 0, jited_bytes = 0, verified_insns = 0;
  std::vector<MapSampleT> maps;
  std::vector<uint64_t> map_addresses;  // as `maps`
};

struct ProgramReading {
  const ProgramFacts* facts = nullptr;  // lives in the ProgramWalker, until its next read()
  uint64_t runs = 0, run_ns = 0, misses = 0;
  uint32_t first_cpu_runs = 0, cpus = 0;  // in Reading::cpu_runs
};

struct Reading {
  bool full = false;
  uint64_t guest_clock_ns = 0;
  uint64_t jiffies = 0;  // 0: not known
  std::vector<CpuReading> cpus;

  uint64_t root = 0;  // address of the root scheduler; 0: none
  uint64_t enable_seq = 0;
  uint64_t exit_kind = 0;
  uint32_t state = UINT32_MAX;  // enum scx_enable_state; UINT32_MAX: not known
  std::array<char, 128> ops_name{};
  bool has_counters = false;
  std::vector<uint64_t> counters;  // one for each of ScxLayout::events
  std::vector<DsqReading> dsqs;

  std::vector<DomainReading> domains;
  std::vector<uint64_t> domain_values, domain_spans;
  uint32_t span_words = 0;
  std::vector<ProgramReading> programs;
  std::vector<uint64_t> cpu_runs;  // calls of a program, CPU by CPU

  void clear();
  void clear_scheduler();  // exit_kind to dsqs
  void clear_domains();
};

// Published forms. Text is the guest's, as it was read.
MonitorSampleT to_event(const Reading& reading, const KernelLayout& layout);
DomainSampleT to_event(const Reading& reading, const DomainReading& domain, const DomainLayout& layout);
ProgramSampleT to_event(const Reading& reading, const ProgramReading& program);

}  // namespace ktstr
