// How far a VM got, and how it ended: what the launcher, the collector and ktstr-init say of the VM itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct BootRecord {
  void fold(const EventBuffer& event);
  bool reached(Stage s) const { return stage >= s; }
  // "template (120.0 ms)", "cold boot (4.300 s)", with why it had to boot; empty: the log does not say.
  std::string how_it_began() const;

  bool started = false;
  uint8_t attempt = 0;
  VmStartedT facts;
  std::optional<VmExitedT> exited;
  std::optional<GuestMemoryDumpedT> dump;
  bool settled = false;
  std::vector<std::string> missing;  // helpers that did not deliver

  Stage stage = Stage::NotStarted;
  bool workload_started = false, workload_finished = false;  // a guest that gives up finishes without either
  std::optional<GuestHelloT> hello;
  uint64_t hello_ns = 0;               // Stamp.host_ns of the first
  std::optional<GuestFailedT> failed;  // the first
  std::optional<GuestFinishedT> finished;
  std::optional<CollectorDrainedT> drained;

 private:
  void reach(Stage s);
};

}  // namespace ktstr
