// What every work type uses: the loop, the clock, the telemetry.
//
// The gap. In the loop a worker reads the clock after every short computation; the time between two readings is work
// plus time in which it did not run. A sleep that it asked for is no gap: after one, the time counts from the moment at
// which the worker asked to run again, or at which its peer woke it. So "longest gap" is the longest time that the worker
// could have run and did not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "schemas/spec_generated.h"
#include "workload/worker.h"

namespace ktstr {

class WorkerLoop {
 public:
  explicit WorkerLoop(const WorkerSetup& setup) : s_(setup), t_(setup.self->telemetry) {}

  const WorkerSetup& setup() const { return s_; }
  const CgroupSpecT& group() const { return *s_.group; }
  bool stopping() const { return s_.control->stop.load(std::memory_order_relaxed) != 0; }
  uint64_t last_ns() const { return t_.last_ns; }
  Telemetry& telemetry() { return t_; }

  void start();
  // Some ten microseconds, then a look at the clock.
  void compute() { spin(3000); }
  void spin(uint32_t rounds);
  void compute_for(uint64_t ns);
  void sleep_for(uint64_t ns);
  void yield();
  // It wanted to run since `since`, and runs now.
  void woken(uint64_t since);
  // Was blocked on purpose for an unknown time.
  void rest();
  void look();
  // Part of the work was refused: counted by errno, and the round at hand is no iteration. Not an error: what fails because
  // the workload ends.
  void could_not(Operation operation, int error);
  // Whether could_not() was called since the last time.
  bool take_refused() { return std::exchange(refused_, false); }

 private:
  void note_outside(int cpu);

  const WorkerSetup& s_;
  Telemetry& t_;
  uint64_t seed_ = 1;
  bool refused_ = false;
};

// One kind of work, with what it keeps from one iteration to the next.
class Work {
 public:
  virtual ~Work() = default;
  virtual void iterate() = 0;
};

// Null: not of this family.
std::unique_ptr<Work> make_plain_work(WorkerLoop& loop);   // worker_plain.cc
std::unique_ptr<Work> make_memory_work(WorkerLoop& loop);  // worker_memory.cc
std::unique_ptr<Work> make_peer_work(WorkerLoop& loop);    // worker_peers.cc
std::unique_ptr<Work> make_churn_work(WorkerLoop& loop);   // worker_churn.cc

// A working set that is read and written from one end to the other.
class CacheWalk {
 public:
  explicit CacheWalk(const CgroupSpecT& group);
  void pass();

 private:
  std::vector<uint8_t> bytes_;
  size_t stride_;
};

// A small file in memory, written and synced: a VM has no disk.
class SyncedFile {
 public:
  explicit SyncedFile(uint32_t size_kb);
  ~SyncedFile();
  struct Failure {
    Operation operation;
    int error;
  };
  // Set when the file could not be made, written or synced.
  std::optional<Failure> write_once();

 private:
  int fd_ = -1;
  int open_error_ = 0;
  uint32_t size_;
};

}  // namespace ktstr
