// What a worker and init share: one slot a worker, in memory mapped before the fork. A worker writes only its
// own telemetry; init reads it after the end, or while a worker that no longer answers is being killed.
#pragma once

#include <atomic>
#include <cstdint>

#include "workload/latency_histogram.h"

namespace ktstr {

inline constexpr unsigned kMaxCpus = 1024;

// What a worker asks of the kernel as part of its work.
enum class Operation : uint32_t {
  kFork,
  kOpen,
  kWrite,
  kSync,
  kMap,
  kReadPipe,
  kWritePipe,
  kSetAffinity,
  kSetPolicy,
  kSetNice,
};
// "fork", "sched_setaffinity": as the system call is called.
const char* operation_name(Operation operation);

// Operations that failed in the same way.
struct OperationFailures {
  Operation operation{};
  int32_t error = 0;   // errno
  uint64_t count = 0;  // 0: the entry is free
};

struct Telemetry {
  uint64_t start_ns = 0;
  uint64_t last_ns = 0;  // last reading of the clock
  uint64_t iterations = 0;
  uint64_t longest_gap_ns = 0;
  uint64_t gap_at_ns = 0;
  int32_t gap_cpu = -1;
  int32_t cpu = -1;  // last seen on
  uint64_t migrations = 0;
  uint64_t wakeups = 0;
  uint64_t cpus[kMaxCpus / 64] = {};
  uint64_t outside[kMaxCpus / 64] = {};  // seen on while the group's cpuset did not allow it
  LatencyHistogram wake;
  static constexpr unsigned kMaxFailures = 16;  // kinds: more than a work type can have
  OperationFailures failures[kMaxFailures];
};

struct WorkerSlot {
  Telemetry telemetry;
  std::atomic<uint32_t> finished{0};
  // The hand-over ring (PipeIo, CachePipe, FutexPingPong): where the predecessor leaves the token, and when.
  std::atomic<uint32_t> token{0};
  std::atomic<uint64_t> handed_ns{0};
  // Of the first worker of a group (FutexFanOut, FanOutCompute, MutexContention), for all of the group.
  std::atomic<uint32_t> round{0};    // fan-out: grows with each message. A futex
  std::atomic<uint32_t> answers{0};  // fan-out: receivers that are through with this round. A futex
  std::atomic<uint32_t> lock{0};     // the mutex: 0 free, 1 held, 2 held and waited for. A futex
};

// For all workers of a batch.
struct WorkloadControl {
  std::atomic<uint32_t> go{0};  // futex: workers wait until all are in their groups
  std::atomic<uint32_t> stop{0};
  std::atomic<uint64_t> go_ns{0};  // when they were let go: waiting to run for the first time is a gap too
  // CPUs that the group's cpuset allows; while it is being changed, those of before and after.
  std::atomic<uint64_t> allowed[kMaxCpus / 64];
  // Grows with each change of `allowed`; odd: the cpuset is being changed.
  std::atomic<uint32_t> allowed_changes{0};
};

}  // namespace ktstr
