// Perturbs a deterministic VM: extra changes of the vCPU that runs.
//
// Under icount QEMU runs one vCPU until the next timer of any device expires, then the next vCPU. So the PIT, which the kernel
// has switched off, decides where the CPUs of the guest interleave: in its periodic mode it expires every `switch_ns`, in its
// one-shot mode at single moments that the seed chooses. Its interrupt reaches a handler that does nothing.
#pragma once

#include <cstdint>
#include <random>

namespace ktstr {
struct DeterminismT;
}

namespace ktstr::guest {

class VcpuSwitcher {
 public:
  // False: no right to the ports. Nothing is done if the fields of the run ask for nothing.
  bool start(const DeterminismT& determinism);
  // At each tick of init.
  void tick();

 private:
  uint32_t points_ = 0;  // one-shot changes of a second; 0: none
  std::minstd_rand random_;
};

}  // namespace ktstr::guest
