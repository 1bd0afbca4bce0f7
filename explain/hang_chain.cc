#include "explain/hang_chain.h"

#include <algorithm>
#include <utility>

#include "scx/crash_frames.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

// A lock that has no name in a plain log, with the functions that take it. Who waits in `waits` (called by `caller`, when
// it is given) wants it; who has `holds` on its stack, or such a name, and does not wait for it, may hold it.
struct KnownLock {
  std::string_view lock;
  std::string_view waits;
  std::string_view caller;
};
constexpr KnownLock kWaits[] = {
    {"cpu_hotplug_lock", "cpus_read_lock", ""},
    {"cpu_hotplug_lock", "cpus_write_lock", ""},
    {"scx_fork_rwsem", "percpu_", "scx_pre_fork"},
    {"scx_fork_rwsem", "__percpu_", "scx_pre_fork"},
    {"scx_fork_rwsem", "percpu_down_write", "scx_"},
    {"scx_cgroup_ops_rwsem", "percpu_down_read", "scx_cgroup_"},
    {"a new kernel thread", "kthread_create", ""},
    {"a new kernel thread", "__kthread_create", ""},
    {"a work item", "__flush_work", ""},
    {"a work item", "work_on_cpu", ""},
};
struct KnownHolder {
  std::string_view lock;
  std::string_view function;  // on the stack
  std::string_view comm;      // or the task's name
};
constexpr KnownHolder kHolders[] = {
    {"scx_fork_rwsem", "scx_ops_enable", ""},
    {"scx_fork_rwsem", "scx_enable", ""},
    {"scx_fork_rwsem", "scx_root_enable", ""},
    {"scx_fork_rwsem", "scx_sub_enable", ""},
    {"scx_fork_rwsem", "scx_ops_disable", ""},
    {"scx_fork_rwsem", "scx_disable_workfn", ""},
    {"scx_fork_rwsem", "scx_root_disable", ""},
    {"cpu_hotplug_lock", "_cpu_down", ""},
    {"cpu_hotplug_lock", "_cpu_up", ""},
    {"cpu_hotplug_lock", "cpuhp_invoke_callback", ""},
    {"cpu_hotplug_lock", "", "cpuhp/"},
    {"a new kernel thread", "", "kthreadd"},
    {"a work item", "", "kthreadd"},  // no worker starts while the thread that makes threads is blocked
};

std::string wants_of(const BlockedTaskT& task) {
  const auto& frames = task.backtrace;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (frames[i]->uncertain) continue;
    const std::string_view function = base_function(frames[i]->function);
    if (!is_wait_frame(function)) break;
    for (const KnownLock& known : kWaits) {
      if (!function.starts_with(known.waits)) continue;
      if (known.caller.empty()) return std::string(known.lock);
      for (size_t k = i + 1; k < frames.size(); ++k) {
        const std::string_view caller = base_function(frames[k]->function);
        if (frames[k]->uncertain || is_wait_frame(caller)) continue;
        if (caller.starts_with(known.caller)) return std::string(known.lock);
        break;
      }
    }
  }
  return task.blocked_on;
}

void add(std::vector<std::string>& names, std::string_view name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
}

}  // namespace

bool is_wait_frame(std::string_view function) {
  function = base_function(function);
  static constexpr std::string_view kPrefixes[] = {"__schedule",
                                                   "schedule",
                                                   "context_switch",
                                                   "io_schedule",
                                                   "preempt_schedule",
                                                   "__wait_for_common",
                                                   "do_wait_for_common",
                                                   "wait_for_com",
                                                   "__mutex_lock",
                                                   "mutex_lock",
                                                   "rwsem_",
                                                   "down_read",
                                                   "down_write",
                                                   "__down_",
                                                   "percpu_rwsem_",
                                                   "percpu_down_",
                                                   "__percpu_down_",
                                                   "cpus_read_lock",
                                                   "cpus_write_lock",
                                                   "__flush_work",
                                                   "flush_work",
                                                   "work_on_cpu",
                                                   "rt_mutex_",
                                                   "__rt_mutex_",
                                                   "rwbase_",
                                                   "futex_wait",
                                                   "synchronize_",
                                                   "__synchronize_",
                                                   "rcu_barrier",
                                                   "kthread_create",
                                                   "__kthread_create",
                                                   "kthread_stop",
                                                   "kthread_park",
                                                   "__wait_on_bit",
                                                   "out_of_line_wait",
                                                   "bit_wait",
                                                   "wait_on_",
                                                   "__wait_rcu_gp",
                                                   "prepare_to_wait",
                                                   "__cond_resched",
                                                   "kthread_flush_work",
                                                   "irq_work_sync"};
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view p) { return function.starts_with(p); });
}

HangChain hang_chain(const KernelFaultT& fault) {
  HangChain chain;
  for (const auto& task : fault.tasks) {
    HangTask out;
    out.comm = task->comm;
    out.pid = task->pid;
    for (const auto& frame : task->backtrace) {
      const std::string_view function = base_function(frame->function);
      if (frame->uncertain || is_wait_frame(function) || !frame_noise(function).empty()) continue;
      out.function = function;
      break;
    }
    if (out.function.empty()) out.function = task->work;
    out.wants = wants_of(*task);
    for (const std::string& lock : task->locks) add(out.holds, lock);
    for (const KnownHolder& known : kHolders) {
      if (known.lock == out.wants) continue;
      bool holds = !known.comm.empty() && out.comm.starts_with(known.comm);
      for (const auto& frame : task->backtrace)
        holds = holds || (!known.function.empty() && !frame->uncertain &&
                          base_function(frame->function).starts_with(known.function));
      if (holds) add(out.holds, known.lock);
    }
    chain.tasks.push_back(std::move(out));
  }
  auto& tasks = chain.tasks;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const BlockedTaskT& told = *fault.tasks[i];
    for (size_t k = 0; k < tasks.size() && tasks[i].waits_for < 0; ++k)
      if (k != i && told.owner_pid != 0 && tasks[k].pid == told.owner_pid) {
        tasks[i].waits_for = static_cast<int>(k);
        tasks[i].told = true;
      }
    for (size_t k = 0; k < tasks.size() && tasks[i].waits_for < 0; ++k) {
      if (k == i || tasks[i].wants.empty()) continue;
      const auto& held = tasks[k].holds;
      if (std::find(held.begin(), held.end(), tasks[i].wants) != held.end())
        tasks[i].waits_for = static_cast<int>(k);
    }
    if (told.owner_pid != 0 && tasks[i].waits_for < 0 &&
        tasks.size() < 64) {  // an owner that is not among the hung ones
      HangTask owner;
      owner.comm = told.owner_comm;
      owner.pid = told.owner_pid;
      tasks.push_back(std::move(owner));
      tasks[i].waits_for = static_cast<int>(tasks.size() - 1);
      tasks[i].told = true;
      if (tasks.size() > fault.tasks.size() + 8) break;
    }
    if (i + 1 >= fault.tasks.size()) break;
  }
  if (tasks.empty()) return chain;
  // From the first one to whom it leads; in a cycle, from the one that has a function of sched_ext on its stack.
  std::vector<size_t> order;
  size_t at = 0;
  for (size_t i = 0; i < tasks.size(); ++i)
    if (tasks[i].waits_for >= 0) {
      at = i;
      break;
    }
  std::vector<char> seen(tasks.size(), 0);
  while (!seen[at] && tasks[at].waits_for >= 0) {
    seen[at] = 1;
    at = static_cast<size_t>(tasks[at].waits_for);
  }
  if (seen[at]) {
    chain.cycle = true;
    size_t head = at;
    for (size_t i = static_cast<size_t>(tasks[at].waits_for); i != at;
         i = static_cast<size_t>(tasks[i].waits_for))
      if (tasks[i].function.find("enable") != std::string::npos ||
          tasks[i].function.find("disable") != std::string::npos)
        head = i;
    at = head;
  }
  // The holder, then who waits for it, and so on.
  std::fill(seen.begin(), seen.end(), 0);
  order.push_back(at);
  seen[at] = 1;
  for (size_t next = 0; next < order.size(); ++next)
    for (size_t i = 0; i < tasks.size(); ++i)
      if (!seen[i] && tasks[i].waits_for == static_cast<int>(order[next])) {
        seen[i] = 1;
        order.push_back(i);
      }
  for (size_t i = 0; i < tasks.size(); ++i)
    if (!seen[i]) order.push_back(i);
  std::vector<int> place(tasks.size(), -1);
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int>(i);
  std::vector<HangTask> sorted;
  for (size_t i : order) {
    sorted.push_back(std::move(tasks[i]));
    if (sorted.back().waits_for >= 0)
      sorted.back().waits_for = place[static_cast<size_t>(sorted.back().waits_for)];
  }
  tasks = std::move(sorted);
  return chain;
}

}  // namespace ktstr
