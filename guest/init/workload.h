// The declared workload: cgroups, batches of workers in them, and what steps do to both.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "guest/init/event_channel.h"
#include "workload/cgroups.h"
#include "workload/worker_batch.h"

namespace ktstr {
struct TestSpecT;
struct CgroupSpecT;
}  // namespace ktstr

namespace ktstr::guest {

class Workload {
 public:
  // Gives the program of a Custom group. Its fds stay the giver's.
  using ProgramOf = std::function<Result<WorkerProgram>(const std::string& payload)>;

  Workload(EventLoop& loop, const TestSpecT& spec, Cgroups& cgroups, ProgramOf program_of)
      : loop_(loop), spec_(spec), cgroups_(cgroups), program_of_(std::move(program_of)) {}

  // Makes the groups, forks every worker into its group, lets all go at once, or each group after a pause of its own
  // (`before_go`, may be empty). An error leaves nothing running.
  Status start(const std::function<void()>& before_go);
  // Asks all workers to end and does not wait for it.
  void ask_to_stop();
  // Kills those that have not ended within `grace_ns`, and waits a fifth of it for them.
  void stop(uint64_t grace_ns);
  void report(EventChannel& channel) const;

  // Operations of a step.
  Status spawn(const CgroupSpecT& group, uint32_t step);
  // Ends the workers that are in the group; those that do not end within `grace_ns` are killed.
  void stop_group(const std::string& cgroup, uint64_t grace_ns);
  Status set_cpuset(const std::string& cgroup, const std::string& cpus);
  Status swap_cpusets(const std::string& a, const std::string& b);
  Status set_affinity(const std::string& cgroup, const std::string& cpus);
  Status move_all(const std::string& from, const std::string& to);
  // CPUs begin to go offline, or to come online; cpus_changed() when they have. No worker is judged by CPUs that are not there,
  // nor by a cpuset whose CPUs were all away at a time: its tasks then run where the parent's may.
  void cpus_change(const std::vector<unsigned>& cpus, bool online);
  void cpus_changed();

  // The reaper found a child: true if it was a worker.
  bool on_end(pid_t pid, int wait_status, const rusage& usage);
  size_t running() const;
  size_t workers() const;

 private:
  Status add_batch(const CgroupSpecT& group, uint32_t step);
  void allow(const std::string& cgroup, const std::string& cpus, bool keep_old);
  std::vector<unsigned> allowed_by(const std::string& cgroup, const std::string& cpuset);

  EventLoop& loop_;
  const TestSpecT& spec_;
  Cgroups& cgroups_;
  ProgramOf program_of_;
  std::vector<std::unique_ptr<WorkerBatch>> batches_;
  std::map<std::string, uint32_t> next_index_;  // per cgroup name
  std::set<unsigned> offline_;
  std::set<std::string> emptied_;  // groups whose cpuset had no CPU online, since it was set
};

}  // namespace ktstr::guest
