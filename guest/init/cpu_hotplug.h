// Takes CPUs of the VM offline, and brings them back.
//
// The write to sysfs waits for the kernel's per-CPU threads (cpuhp/N, migration/N), and the scheduler under test runs some of
// them. So a helper process writes, and init goes on: it collects what comes, and stops waiting after a limit.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"

namespace ktstr::guest {

class CpuHotplug {
 public:
  // `folder`: of the CPUs in sysfs; another one in tests.
  explicit CpuHotplug(EventLoop& loop, std::string folder = "/sys/devices/system/cpu")
      : loop_(loop), folder_(std::move(folder)) {}

  // One after another, the highest first when they go. Stops at the first that does not change within `limit_ns`.
  Status set(std::vector<unsigned> cpus, bool online, uint64_t limit_ns);
  // The reaper found a child: true if it was one of these helpers.
  bool on_end(pid_t pid, int wait_status);

 private:
  Status set_one(unsigned cpu, bool online, uint64_t limit_ns);

  EventLoop& loop_;
  std::string folder_;
  std::set<pid_t> late_;  // helpers that were given up, and have not ended
  pid_t pid_ = -1;        // the helper in hand; -1: none
  int status_ = 0;        // how it ended
};

}  // namespace ktstr::guest
