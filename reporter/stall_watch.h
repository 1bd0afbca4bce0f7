// Whose fault a wait was: from the monitor's samples, for the tasks that waited longest on a run queue, what
// their CPU did meanwhile, and whether the host ran the guest at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schemas/monitor_generated.h"

namespace ktstr {

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
};

enum class WaitFault { kScheduler, kRealTime, kHost };
WaitFault fault_of(const Wait& wait);

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

  std::vector<Open> open_;  // per CPU; pid 0: nobody waits
  std::vector<Wait> kept_;  // the longest, one a pid
  static constexpr size_t kMaxKept = 64;
};

}  // namespace ktstr
