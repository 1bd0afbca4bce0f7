// How long each stage of a VM may take before the launcher ends it.
//
// The guest has shorter deadlines of its own (attach, quiescence); the launcher's only pass when the guest sends
// nothing any more. All are multiplied by the time scale: how much slower this host runs guests than the one on which
// the base values were set (KVM, idle).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schemas/common_generated.h"

namespace ktstr {

struct TestSpecT;

struct Deadline {
  std::string name;   // "boot"
  uint64_t limit_ns;  // from the moment the stage before was reached, scaled
};

struct DeadlineOptions {
  double time_scale = 1;
  uint64_t boot_ns = 60'000'000'000;  // from QEMU's start to the first console output, and from there to init
};

// The deadline that runs once `stage` was reached: from its arrival to the next stage's.
Deadline deadline_after(Stage stage, const TestSpecT& spec, const DeadlineOptions& options);

struct HostSpeed {
  bool tcg = true;
  uint32_t vcpus = 4;
  uint32_t host_cpus = 2;
  double load_1min = 0;  // of the host, before the run
  double speed = 0;      // of one guest CPU, measured (vm/host_speed.h); 0: not measured
};
// >= 1. Software emulation runs every vCPU on one host thread; a slow or loaded host slows that thread down: what was
// measured counts, or the load average where it says worse things of the minute before.
double time_scale(const HostSpeed& speed);

}  // namespace ktstr
