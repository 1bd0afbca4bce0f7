// One worker process: does its WorkType until told to stop, and keeps its telemetry.
#pragma once

#include <functional>

#include "schemas/spec_generated.h"
#include "workload/work_types.h"
#include "workload/worker_slot.h"

namespace ktstr {

class WorkerLoop;
// A worker's function of a C++ test (ktstr/test.h): called once; it returns when the loop is stopping.
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
// Who hands over to whom in a group that passes a token: pairs; an odd group ends with a ring of three; a single worker
// is its own peer.
struct RingPlace {
  size_t next;     // index that gets the token from this one
  bool has_token;  // starts with it
};

inline RingPlace ring_place(size_t index, size_t count) {
  if (count <= 1) return {index, true};
  const bool in_last = count % 2 == 1 && index >= count - 3;
  const size_t first = in_last ? count - 3 : index - index % 2;
  const size_t size = in_last ? 3 : 2;
  return {first + (index - first + 1) % size, index == first};
}

// Blocks until control->go. The first thing that a worker does.
void wait_for_go(WorkloadControl& control);
// Runs until control->stop. A blocked worker ends when a signal interrupts it after that.
void run_worker(const WorkerSetup& setup);

}  // namespace ktstr
