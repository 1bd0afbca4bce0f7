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

// How long a wait has lasted, for a limit that is held against the one who is waited for. Time in which that one could not be
// heard is no fault of its own: while the launcher itself did not run (SIGSTOP, a debugger), while the process that passes the
// words on is stopped, and for kCatchUp after either, when what was held up arrives.
class FairWait {
 public:
  static constexpr uint64_t kLongestLook =
      1'000'000'000;  // ns; a longer gap between two looks: the launcher stood still
  static constexpr uint64_t kCatchUp = 5'000'000'000;       // ns
  static constexpr uint64_t kMostExcused = 60'000'000'000;  // ns in one wait, so that every wait ends

  // A wait with all of its excuses.
  void begin(uint64_t now_ns) { *this = FairWait(now_ns); }
  // The next stage of the same wait: the limit is a new one, excuses that were used up stay so.
  void next(uint64_t now_ns) {
    look(now_ns, true);
    counted_ns_ = 0;
  }
  // Often while we wait. `heard`: nobody between the one who is waited for and us is stopped.
  void look(uint64_t now_ns, bool heard);
  // Instead of look(): since the last one nobody was waited for, however long that was (a debugger held the guest).
  void stand(uint64_t now_ns) { last_ns_ = now_ns; }
  uint64_t ns() const { return counted_ns_; }

  FairWait() = default;

 private:
  explicit FairWait(uint64_t now_ns) : last_ns_(now_ns) {}

  uint64_t last_ns_ = 0, counted_ns_ = 0, catch_up_until_ns_ = 0;
  uint64_t excuses_ns_ = kMostExcused;
};

struct HostSpeed {
  bool tcg = true;
  uint32_t vcpus = 4;
  uint32_t host_cpus = 2;
  uint32_t jobs = 1;     // tests that run at the same time, this one included (--jobs)
  double load_1min = 0;  // of the host, before the run
  double speed = 0;      // of one guest CPU, measured (vm/host_speed.h); 0: not measured
};
// >= 1. Software emulation runs every vCPU on one host thread; a slow or loaded host slows that thread down: what was
// measured counts, or the load average where it says worse things of the minute before.
double time_scale(const HostSpeed& speed);

}  // namespace ktstr
