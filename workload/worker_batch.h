// Workers that were started together: forked into one cgroup, started together, asked to end, reported.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "workload/worker.h"

namespace ktstr {

// What a worker of Custom work becomes.
struct WorkerProgram {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  int out = -1, err = -1;  // its stdout and stderr
  int exit_code = 0;       // the one that passes
};

class WorkerBatch {
 public:
  // `first_index`: of its first worker in the cgroup's reports. `step`: 1-based, 0: the workload's start.
  WorkerBatch(EventLoop& loop, const CgroupSpecT& group, uint32_t first_index, uint32_t step)
      : loop_(loop), group_(group), first_index_(first_index), step_(step), place_(group.name) {}
  ~WorkerBatch();

  // Instead of the group's work. Before fork().
  void set_function(WorkerFunction function) { function_ = std::move(function); }
  // Forks all workers into the cgroup at `folder`, where they wait. An error leaves nothing running.
  Status fork(int folder, const WorkerProgram* program);
  void go(uint64_t go_ns);
  // Asks all workers to end and does not wait for it.
  void ask_to_stop();
  // Waits for them until `deadline_ns`, kills the rest and waits `after_ns` more.
  void stop(uint64_t deadline_ns, uint64_t after_ns);
  bool stopped() const { return stop_ns_ != 0; }
  std::vector<WorkerReportT> reports() const;

  // The CPUs that its cgroup allows from now on; both lists count while the change is under way.
  void allow(const std::vector<unsigned>& cpus, bool keep_old, const std::string& text);
  // Binds each worker; the first error, if any.
  Status set_affinity(const std::string& cpus);

  // The reaper found a child: true if it was a worker of this batch.
  bool on_end(pid_t pid, int wait_status, const rusage& usage);
  size_t running() const;
  size_t workers() const { return members_.size(); }
  std::vector<pid_t> pids() const;

  // The cgroup that it is in now; its reports keep the name that it was started under.
  const std::string& place() const { return place_; }
  void move_to(const std::string& cgroup) { place_ = cgroup; }

 private:
  struct Member {
    uint32_t index = 0;
    WorkerSlot* slot = nullptr;
    WorkerSetup setup;
    pid_t pid = -1;
    bool ended = false, killed = false;
    int exit_code = 0;
    uint64_t ended_ns = 0;
    uint64_t run_ns = 0, wait_ns = 0;  // schedstat at the end
  };

  Status map_slots(size_t count);
  Status make_rings();
  void make_groups();
  Status fork_member(Member& member, int folder, const WorkerProgram* program);
  Status apply_policy(const Member& member) const;
  void close_gap(Telemetry& telemetry) const;
  void read_schedstat(Member& member) const;
  void signal_running(int signo);
  bool custom() const { return group_.work == WorkType::Custom; }

  EventLoop& loop_;
  const CgroupSpecT& group_;
  WorkerFunction function_;
  uint32_t first_index_, step_;
  std::string place_, cpuset_;
  WorkloadControl* control_ = nullptr;
  WorkerSlot* slots_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint64_t stop_ns_ = 0;  // when they were told to end
  int good_exit_ = 0;
  std::vector<Member> members_;
  std::vector<UniqueFd> pipes_;
};

}  // namespace ktstr
