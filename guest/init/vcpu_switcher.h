// Perturbs a deterministic VM: extra changes of the vCPU that runs.
//
// Under icount QEMU runs one vCPU until the next timer of any device expires, then the next vCPU. So the PIT, which the kernel
// has switched off, decides where the CPUs of the guest interleave: in its periodic mode it expires every `switch_ns`, or, in the
// windows of the workload that the seed chooses, every `window_ns`; in its one-shot mode at single moments (seeds of older logs).
// Its interrupt reaches a handler that does nothing.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace ktstr {
struct DeterminismT;
}

namespace ktstr::guest {

class VcpuSwitcher {
 public:
  // False: no right to the ports. Nothing is done if the fields of the run ask for nothing.
  bool start(const DeterminismT& determinism);
  // The windows are parts of the workload, which begins now and lasts so long.
  void workload_started(uint64_t now_ns, uint64_t duration_ns);
  // At each tick of init.
  void tick(uint64_t now_ns);

 private:
  std::vector<uint64_t> windows_;  // clock at which each begins, ascending
  std::vector<uint16_t> parts_;    // the same, in thousandths of the workload
  uint32_t window_ns_ = 0;
  bool in_window_ = false;
  uint32_t points_ = 0;  // one-shot changes of a second; 0: none
  std::minstd_rand random_;
};

}  // namespace ktstr::guest
