// What a worker and init share: one slot a worker, in memory mapped before the fork. A worker writes only its
// own telemetry; init reads it after the end, or while a worker that no longer answers is being killed.
#pragma once

#include <atomic>
#include <cstdint>

#include "launcher/guest/latency_histogram.h"

namespace ktstr::guest {

inline constexpr unsigned kMaxCpus = 1024;

struct Telemetry {
  uint64_t start_ns = 0;
  uint64_t last_ns = 0;  // last look at the clock
  uint64_t iterations = 0;
  uint64_t longest_gap_ns = 0;
  uint64_t gap_at_ns = 0;
  int32_t gap_cpu = -1;
  int32_t cpu = -1;  // last seen on
  uint64_t migrations = 0;
  uint64_t wakeups = 0;
  uint64_t cpus[kMaxCpus / 64] = {};
  LatencyHistogram wake;
};

struct WorkerSlot {
  Telemetry telemetry;
  std::atomic<uint32_t> finished{0};
  // The hand-over ring (PipeIo, FutexPingPong): where the predecessor leaves the token, and when it did.
  std::atomic<uint32_t> token{0};
  std::atomic<uint64_t> handed_ns{0};
};

// For all workers of a VM.
struct WorkloadControl {
  std::atomic<uint32_t> go{0};  // futex: workers wait until all stand in their groups
  std::atomic<uint32_t> stop{0};
  std::atomic<uint64_t> go_ns{0};  // when they were let go: waiting to run for the first time is a gap too
};

}  // namespace ktstr::guest
