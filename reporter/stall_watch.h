// From the monitor's samples, for the tasks that waited longest on a run queue: what each CPU did meanwhile, which DSQs
// were served, where the scheduler's programs ran, and whether the host ran the guest at all. What follows from it is
// said by wait_cause.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schemas/monitor_generated.h"

namespace ktstr {

// Who had a CPU, in samples.
struct CpuTally {
  struct Holder {
    int pid = 0;  // 0: none
    std::string comm;
    uint32_t samples = 0;
  };
  uint32_t idle = 0, ext = 0, real_time = 0, other = 0;
  uint32_t local_waiting = 0;       // samples in which its local DSQ was not empty
  std::array<Holder, 4> ext_tasks;  // the first sched_ext tasks that were seen on it
  uint32_t samples() const { return idle + ext + real_time + other; }
  void add(const CpuTally& one);
  const Holder& most() const;  // of ext_tasks
};

// Totals at one moment: user DSQs and the global ones by id, programs by name and CPU (full samples only).
struct ServiceLook {
  struct Dsq {
    uint32_t seq = 0, depth = 0;
  };
  std::map<uint64_t, Dsq> dsqs;
  std::map<std::string, std::vector<uint64_t>> cpu_runs;
};

struct Wait {
  int pid = 0;
  std::string comm;
  unsigned cpu = 0;
  uint64_t wait_ns = 0;  // as the kernel counts, to the tick
  uint64_t dsq_id = 0;   // where it waited at last, before the bypass DSQ; 0: in no DSQ
  uint64_t samples = 0;  // of the span, and who had the CPU in them
  uint64_t ran_ext = 0, ran_rt = 0, ran_other = 0, ran_idle = 0;
  std::string rt_comm;  // a real-time task that had it
  int rt_pid = 0;
  uint64_t span_ns = 0;  // of the samples, host time
  uint64_t host_wait_ns =
      0;  // QEMU's vCPU threads, in that span: runnable without a host CPU, the worst thread
  uint32_t vcpu_threads = 0;   // of QEMU: one for all CPUs under emulation; 0: not seen
  std::vector<CpuTally> cpus;  // by CPU, in the samples of the span
  // The first and the last look within the span; null: none. The two may be one.
  std::shared_ptr<const ServiceLook> dsqs_first, dsqs_last, runs_first, runs_last;

  // The task's CPU wanted to run, and the host gave each of the guest's CPUs so little time in the span that no scheduler could
  // have served everybody. A clock of the guest that follows its instructions (a deterministic run) does not know the host.
  bool host_starved() const;
  // "the host ran the guest's CPUs for 659.0 ms of 4.016 s"
  std::string host_words() const;
  // Tasks that left the DSQ between the looks; nullopt: not seen at both, or the monitor did not count (old logs).
  std::optional<uint64_t> taken_from(uint64_t dsq) const;
  // Calls of a program on a CPU between the looks; nullopt: there are no two looks.
  std::optional<uint64_t> calls(const std::string& program, unsigned on_cpu) const;
};

class StallWatch {
 public:
  void fold(const MonitorSample& sample, uint64_t host_ns);
  // The span in which `pid` waited longest; pid 0: the longest of all.
  std::optional<Wait> find(int pid) const;

 private:
  struct Open {
    Wait wait;
    uint64_t since_ns = 0;
    std::vector<uint64_t> host_wait_at_start;
  };
  void keep(const Wait& wait);
  static std::shared_ptr<const ServiceLook> look_at(const MonitorSample& sample);

  std::vector<Open> open_;  // per CPU; pid 0: nobody waits
  static constexpr size_t kMaxDsqs = 1024, kMaxPrograms = 64;
  std::vector<Wait> kept_;  // the longest, one a pid
  static constexpr size_t kMaxKept = 64;
};

}  // namespace ktstr
