// Who waits for whom among hung tasks: from what the kernel says of owners, from lockdep's lists of held locks, and from
// the functions on their stacks for the locks that sched_ext and CPU hotplug share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"

namespace ktstr {

struct HangTask {
  std::string comm;
  int pid = 0;
  std::string
      function;  // where it waits: the first function that is no lock or wait primitive; empty: not shown
  std::string wants;  // what it waits for: "scx_fork_rwsem", "mutex"; empty: not told
  std::vector<std::string> holds;
  int waits_for = -1;  // place in HangChain::tasks of who holds that; -1: not known
  bool told = false;   // that is the kernel's word, not read off the stacks
};

struct HangChain {
  std::vector<HangTask> tasks;  // who keeps others waiting first
  bool cycle = false;           // a deadlock: they wait for each other
};

HangChain hang_chain(const KernelFaultT& fault);

// A function in which tasks wait for a lock, a completion, a grace period: it does not say what they were doing.
bool is_wait_frame(std::string_view function);

}  // namespace ktstr
