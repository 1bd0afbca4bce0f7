// One worker process: does its WorkType until told to stop, and keeps its telemetry.
#pragma once

#include "launcher/guest/worker_slot.h"
#include "schemas/spec_generated.h"

namespace ktstr::guest {

struct WorkerSetup {
  WorkType work = WorkType::CpuSpin;
  uint64_t burst_ns = 0;
  uint64_t pause_ns = 0;
  WorkloadControl* control = nullptr;
  WorkerSlot* self = nullptr;
  // The ring of PipeIo and FutexPingPong: two workers, three at the end of an odd group, one when it is
  // alone.
  WorkerSlot* next = nullptr;
  bool has_token = false;
  int pipe_in = -1, pipe_out = -1;
};

// Runs until control->stop. A blocked worker ends when a signal interrupts it after that.
void run_worker(const WorkerSetup& setup);

}  // namespace ktstr::guest
