// How long a vCPU of a deterministic VM runs before the next one does.
//
// Under icount QEMU runs one vCPU until the next timer of any device expires. So extra timers decide where the CPUs of the guest
// interleave. They are in QEMU itself (launcher/deterministic/preload) and the guest does not notice them; this class says
// how long a turn is: the same in every run, or what the seed chose, all through the workload or in windows of it.
#pragma once

#include <cstdint>
#include <vector>

namespace ktstr {
struct DeterminismT;
}

namespace ktstr::guest {

class VcpuSwitcher {
 public:
  // False: no right to the port.
  bool start(const DeterminismT& determinism);
  // The windows are parts of the workload, which begins now and lasts so long.
  void workload_started(uint64_t now_ns, uint64_t duration_ns);
  void workload_finished();
  // At each tick of init.
  void tick(uint64_t now_ns);

 private:
  std::vector<uint64_t> windows_;  // clock at which each begins, ascending
  std::vector<uint16_t> parts_;    // the same, in thousandths of the workload
  uint32_t switch_ns_ = 0, window_ns_ = 0;
  bool in_window_ = false;
};

}  // namespace ktstr::guest
