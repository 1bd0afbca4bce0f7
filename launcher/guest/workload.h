// The declared workload: cgroups, workers forked into them, their reports.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "launcher/guest/event_channel.h"
#include "launcher/guest/event_loop.h"
#include "launcher/guest/worker.h"
#include "runtime/result.h"
#include "runtime/unique_fd.h"
#include "schemas/spec_generated.h"

namespace ktstr::guest {

class Workload {
 public:
  Workload(EventLoop& loop, const TestSpecT& spec) : loop_(loop), spec_(spec) {}
  ~Workload();

  // Makes the groups, forks every worker into its group, lets all go at once. An error leaves nothing
  // running.
  Status start();
  // Its time is over: all are told to end, and do so while other things are waited for.
  void ask_to_stop();
  // Kills those that have not ended within `grace_ns`, and waits a fifth of it for them.
  void stop(uint64_t grace_ns);
  void report(EventChannel& channel) const;

  // The reaper found a child: true if it was a worker.
  bool on_end(pid_t pid, int wait_status);
  size_t running() const;
  size_t workers() const { return members_.size(); }

 private:
  struct Member {
    const CgroupSpecT* group = nullptr;
    uint32_t index = 0;
    WorkerSlot* slot = nullptr;
    WorkerSetup setup;
    pid_t pid = -1;
    bool ended = false, killed = false;
    int exit_code = 0;
    uint64_t run_ns = 0, wait_ns = 0;  // schedstat at the end
  };

  Status map_slots(size_t count);
  Status make_group(const CgroupSpecT& group, UniqueFd& folder);
  Status make_rings(size_t first, size_t count);
  Status fork_member(Member& member, int group_folder);
  void close_gap(Telemetry& telemetry) const;
  void read_schedstat(Member& member) const;
  void signal_running(int signo);

  EventLoop& loop_;
  const TestSpecT& spec_;
  WorkloadControl* control_ = nullptr;
  WorkerSlot* slots_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint64_t stop_ns_ = 0;  // when they were told to end
  std::vector<Member> members_;
  std::vector<UniqueFd> pipes_;
};

}  // namespace ktstr::guest
