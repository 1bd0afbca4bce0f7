// One walker for each structure of the guest's kernel. Pure readers: memory in, a piece of a MonitorSample out.
//
// Every walk is bounded by the constants here, whatever the guest says; a walk that meets nonsense answers false or
// nullopt and its caller leaves that piece out of the sample and counts it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "monitor/guest_kernel.h"
#include "schemas/event_generated.h"

namespace ktstr {

inline constexpr uint32_t kMaxDomainLevels = 16;
inline constexpr uint32_t kMaxPrograms = 512;     // published
inline constexpr uint32_t kMaxIdrEntries = 16384; // looked at
inline constexpr uint32_t kMaxMapsPerProgram = 64;
inline constexpr uint32_t kMaxBuckets = 1u << 16;
inline constexpr uint32_t kMaxDsqs = 4096;
inline constexpr uint32_t kMaxNodes = 64;

// struct rq of one CPU. With `stats`, RunQueueStats too where the kernel keeps them.
std::optional<CpuSampleT> read_run_queue(const GuestKernel& kernel, uint32_t cpu, bool stats);

// The root scheduler as it is at this moment.
struct ScxRoot {
  uint64_t address = 0;     // scx_root; 0: no scheduler
  uint64_t enable_seq = 0;
  friend bool operator==(const ScxRoot&, const ScxRoot&) = default;
};
// Nullopt: not readable. A kernel without scx_root: address 0.
std::optional<ScxRoot> read_scx_root(const GuestKernel& kernel);
// sched_ext's state by the kernel's own word: "enabled"; empty: not known.
std::string read_scx_state(const GuestKernel& kernel);
// Exit kind, name and event counters (summed over the possible CPUs) into `sample`.
bool read_scx_root_facts(const GuestKernel& kernel, const ScxRoot& root, MonitorSampleT& sample);

// Appends the domains of one CPU, lowest level first.
bool read_domains(const GuestKernel& kernel, uint32_t cpu, std::vector<std::unique_ptr<DomainSampleT>>& out);

// Appends user DSQs (through the hash of `root`), the global ones, and bypass DSQs that are not empty.
bool read_dsqs(const GuestKernel& kernel, const ScxRoot& root, const std::vector<bool>& online,
               std::vector<std::unique_ptr<DsqSampleT>>& out);

// Programs of sched_ext's struct_ops, through prog_idr. Remembers what of a program never changes.
class ProgramWalker {
 public:
  explicit ProgramWalker(const GuestKernel& kernel) : kernel_(kernel) {}

  // Appends programs in the order of their ids, and each map that they use once.
  bool read(std::vector<std::unique_ptr<ProgramSampleT>>& programs, std::vector<std::unique_ptr<MapSampleT>>& maps);

 private:
  struct Known {
    bool ours = false;
    uint32_t id = 0;
    uint64_t stats = 0;  // per-CPU pointer
    ProgramSampleT facts;
    std::vector<MapSampleT> maps;
  };
  bool collect(uint64_t entry, int shift_limit, uint32_t& budget, std::vector<uint64_t>& programs) const;
  const Known* learn(uint64_t program);
  void learn_maps(uint64_t aux, Known& known) const;
  void add_run_stats(const Known& known, ProgramSampleT& sample) const;

  const GuestKernel& kernel_;
  std::unordered_map<uint64_t, Known> known_;
};

}  // namespace ktstr
