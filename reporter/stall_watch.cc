#include "reporter/stall_watch.h"

#include <algorithm>

#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr {

WaitFault fault_of(const Wait& wait) {
  if (wait.span_ns && wait.host_wait_ns * 2 > wait.span_ns) return WaitFault::kHost;
  if (wait.samples && wait.ran_rt * 2 > wait.samples) return WaitFault::kRealTime;
  return WaitFault::kScheduler;
}

void StallWatch::fold(const MonitorSample& sample, uint64_t host_ns) {
  if (!sample.cpus()) return;
  std::vector<uint64_t> host_wait;
  if (sample.vcpus())
    for (const VcpuThread* thread : *sample.vcpus()) host_wait.push_back(thread->wait_ns());
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->cpu() >= 8192) continue;
    if (cpu->cpu() >= open_.size()) open_.resize(cpu->cpu() + size_t{1});
    Open& open = open_[cpu->cpu()];
    const TaskSeen* waiter = cpu->longest_waiting();
    // The kernel's count starts again when the task has run.
    bool goes_on = waiter && open.wait.pid == waiter->pid() && waiter->wait_ns() >= open.wait.wait_ns;
    if (!goes_on) {
      if (open.wait.pid) keep(open.wait);
      open = {};
      if (!waiter || waiter->pid() == 0) continue;
      open.wait.pid = waiter->pid();
      open.wait.comm = std::string(str(waiter->comm()).substr(0, 64));
      open.wait.cpu = cpu->cpu();
      open.since_ns = host_ns;
      open.host_wait_at_start = host_wait;
    }
    Wait& wait = open.wait;
    wait.wait_ns = waiter->wait_ns();
    // The kernel moves what waits there when it aborts the scheduler: the task waited elsewhere before.
    if (waiter->dsq_id() != kScxDsqBypass || wait.samples == 0) wait.dsq_id = waiter->dsq_id();
    ++wait.samples;
    const TaskSeen* curr = cpu->curr();
    if (!curr) {
      ++wait.ran_idle;
    } else if (curr->sched_class() == SchedClass::Ext) {
      ++wait.ran_ext;
    } else if (curr->sched_class() == SchedClass::RealTime || curr->sched_class() == SchedClass::Deadline ||
               curr->sched_class() == SchedClass::Stop) {
      ++wait.ran_rt;
      wait.rt_comm = std::string(str(curr->comm()).substr(0, 64));
      wait.rt_pid = curr->pid();
    } else {
      ++wait.ran_other;
    }
    wait.span_ns = host_ns - open.since_ns;
    for (size_t i = 0; i < std::min(host_wait.size(), open.host_wait_at_start.size()); ++i) {
      if (host_wait[i] > open.host_wait_at_start[i])
        wait.host_wait_ns = std::max(wait.host_wait_ns, host_wait[i] - open.host_wait_at_start[i]);
    }
  }
}

void StallWatch::keep(const Wait& wait) {
  auto same = std::find_if(kept_.begin(), kept_.end(), [&](const Wait& w) { return w.pid == wait.pid; });
  if (same != kept_.end()) {
    if (wait.wait_ns > same->wait_ns) *same = wait;
  } else if (kept_.size() < kMaxKept) {
    kept_.push_back(wait);
  } else {
    auto least = std::min_element(kept_.begin(), kept_.end(),
                                  [](const Wait& a, const Wait& b) { return a.wait_ns < b.wait_ns; });
    if (least->wait_ns < wait.wait_ns) *least = wait;
  }
}

std::optional<Wait> StallWatch::find(int pid) const {
  std::optional<Wait> best;
  auto look = [&](const Wait& wait) {
    if (wait.pid && (pid == 0 || wait.pid == pid) && (!best || wait.wait_ns > best->wait_ns)) best = wait;
  };
  for (const Wait& wait : kept_) look(wait);
  for (const Open& open : open_) look(open.wait);
  return best;
}

}  // namespace ktstr
