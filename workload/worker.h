// One worker process: does its WorkType until told to stop, and keeps its telemetry.
#pragma once

#include <functional>

#include "schemas/spec_generated.h"
#include "workload/worker_slot.h"

namespace ktstr::guest {

class WorkerLoop;
// Work of one's own (ktstr/test.h): called once, to go on until the loop is stopping.
using WorkerFunction = std::function<void(WorkerLoop&)>;

struct WorkerSetup {
  const CgroupSpecT* group = nullptr;  // what to do
  WorkloadControl* control = nullptr;
  WorkerSlot* self = nullptr;
  // The ring of PipeIo, CachePipe and FutexPingPong: two workers, three at the end of an odd group, one when it is
  // alone.
  WorkerSlot* next = nullptr;
  bool has_token = false;
  int pipe_in = -1, pipe_out = -1;
  // Of FutexFanOut, FanOutCompute and MutexContention.
  WorkerSlot* head = nullptr;                // the group's first worker
  uint32_t place = 0;                        // 0: it is the first: the messenger
  const WorkerFunction* function = nullptr;  // instead of the group's work
  uint32_t index = 0;                        // in the batch
};

// Does this work hand a byte to the next one by a pipe?
inline bool uses_pipe(WorkType work) { return work == WorkType::PipeIo || work == WorkType::CachePipe; }
inline bool passes_token(WorkType work) { return uses_pipe(work) || work == WorkType::FutexPingPong; }
// Workers of a fan-out or mutex group; 0: this work has none.
inline uint32_t group_size(const CgroupSpecT& group) {
  if (group.work == WorkType::FutexFanOut || group.work == WorkType::FanOutCompute) return group.fan_out + 1;
  return group.work == WorkType::MutexContention ? group.contenders : 0;
}

// Blocks until control->go. The first thing that a worker does.
void wait_for_go(WorkloadControl& control);
// Runs until control->stop. A blocked worker ends when a signal interrupts it after that.
void run_worker(const WorkerSetup& setup);

}  // namespace ktstr::guest
