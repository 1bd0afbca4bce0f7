// One walker for each structure of the guest's kernel. Pure readers: memory in, a piece of a Reading out.
//
// Every walk is bounded by the constants here, whatever the guest says. A walk that meets nonsense answers
// false; its caller leaves that piece out of the sample and counts it. What a kernel lacks is not nonsense:
// it is left empty.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "monitor/guest_kernel.h"
#include "monitor/reading.h"

namespace ktstr {

inline constexpr uint32_t kMaxRunnableSeen = 8;  // of a runnable list, from its head
inline constexpr uint32_t kMaxDomainLevels = 16;
inline constexpr uint32_t kMaxPrograms = 512;      // published
inline constexpr uint32_t kMaxIdrEntries = 16384;  // looked at
inline constexpr uint32_t kMaxMapsPerProgram = 64;
inline constexpr uint32_t kMaxBuckets = 1u << 16;
inline constexpr uint32_t kMaxDsqs = 4096;
inline constexpr uint32_t kMaxNodes = 64;

// Jiffies now, for the age of waiting tasks; 0: not known.
uint64_t read_jiffies(const GuestKernel& kernel);
// pid, comm and class of a task_struct.
bool read_task(const GuestKernel& kernel, uint64_t task, TaskReading& out);
// struct rq of one CPU: the numbers, who runs, who waits longest. Tasks that cannot be read are left out.
bool read_run_queue(const GuestKernel& kernel, uint32_t cpu, Reading& reading);

// The root scheduler as it is at this moment.
struct ScxRoot {
  uint64_t address = 0;  // scx_root; 0: no scheduler
  uint64_t enable_seq = 0;
  friend bool operator==(const ScxRoot&, const ScxRoot&) = default;
};
// Nullopt: not readable. A kernel without scx_root: address 0.
std::optional<ScxRoot> read_scx_root(const GuestKernel& kernel);
// sched_ext's state, a value of enum scx_enable_state; UINT32_MAX: not known.
uint32_t read_scx_state(const GuestKernel& kernel);
// sched_ext's watchdog timeout in force, ns. Nullopt: this kernel does not say where it is.
std::optional<uint64_t> read_watchdog_timeout(const GuestKernel& kernel);
// Exit kind, name and event counters (summed over the possible CPUs) of the root.
bool read_scx_facts(const GuestKernel& kernel, const ScxRoot& root, Reading& reading);
// User DSQs through the root's hash, the global ones, and those bypass DSQs that are not empty.
bool read_dsqs(const GuestKernel& kernel, const ScxRoot& root, Reading& reading);

// The domains of one CPU, lowest level first.
bool read_domains(const GuestKernel& kernel, uint32_t cpu, Reading& reading);

// Items of an idr, up to kMaxIdrEntries of them. False: nonsense in it.
bool collect_idr(const GuestKernel& kernel, uint64_t idr, std::vector<uint64_t>& found);

// Programs of sched_ext's struct_ops, through prog_idr, ascending ids. Remembers what of a program never
// changes.
class ProgramWalker {
 public:
  explicit ProgramWalker(const GuestKernel& kernel) : kernel_(kernel) {}
  bool read(Reading& reading);

 private:
  struct Known {
    bool ours = false;
    uint32_t id = 0;
    uint64_t stats = 0;  // per-CPU pointer
    ProgramFacts facts;
  };
  const Known* learn(uint64_t program);
  void learn_facts(uint64_t program, uint64_t aux, ProgramFacts& facts) const;
  void learn_maps(uint64_t aux, ProgramFacts& facts) const;
  bool read_runs(const Known& known, ProgramReading& out, std::vector<uint64_t>& cpu_runs) const;

  const GuestKernel& kernel_;
  std::unordered_map<uint64_t, Known> known_;
  std::vector<uint64_t> found_;
};

}  // namespace ktstr
