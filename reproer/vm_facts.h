// What one VM told that auto-repro needs, folded from its events. Bounded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reproer/probe_planner.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct VmFacts {
  void fold(const EventBuffer& event);
  // Counts the event against the bound of what is kept; false: over it.
  bool room(const EventBuffer& event);

  // The scheduler's process ended by itself.
  bool scheduler_died() const { return scheduler_exit && !scheduler_exit->requested && !left_at_hotplug; }
  // One text for "what went wrong here", comparable between VMs; empty: nothing.
  std::string signature() const;
  ProgramTypes program_types() const;
  uint64_t last_hit_ns() const;

  Stage stage = Stage::NotStarted;  // the last one that was told
  bool workload_started = false;    // a guest may finish without
  std::string failure;              // GuestFailed
  std::optional<CrashDetectedT>
      crash;                     // the one that explains the VM: a scheduler's exit before a kernel's fault
  bool left_at_hotplug = false;  // unregistered because CPUs changed: by design, there is nothing to probe
  std::optional<SchedulerExitedT> scheduler_exit;
  std::optional<VmExitedT> exited;
  double work_rate = 0;  // iterations of all workers per second of their loops
  std::vector<BpfProgramT> programs;
  std::map<uint32_t, std::vector<uint8_t>> btfs;
  std::optional<ProbeAttachedT> attached;
  std::optional<ProbeTriggeredT> trigger;
  std::optional<ProbeFinishedT> finished;
  std::vector<ProbeHitT> hits;
  uint64_t hits_refused = 0;  // over the bound
  size_t stored_bytes = 0;    // of guest events kept, as they came
};

}  // namespace ktstr
