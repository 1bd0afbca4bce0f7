#include <algorithm>

#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

uint32_t small(const GuestMemory& memory, const Field& field, uint64_t base) {
  return static_cast<uint32_t>(field.read(memory, base).value_or(0));
}

// The runnable list is in the order in which its tasks became runnable, or were last given the CPU, so the
// one that waits longest is near its head; the running one is in it too.
void find_waiting(const GuestKernel& kernel, uint64_t rq, uint64_t curr, uint64_t jiffies, CpuReading& r) {
  const GuestMemory& memory = kernel.memory();
  const KernelLayout& l = kernel.layout();
  if (!l.rq.runnable_list || !l.task.runnable_node || !l.task.runnable_at || !jiffies || !kernel.tick_ns())
    return;
  const uint64_t head = rq + l.rq.runnable_list.offset;
  uint64_t oldest = 0, age = 0;
  auto node = memory.pointer(head);
  for (uint32_t i = 0; i < kMaxRunnableSeen && node && *node != head; ++i, node = memory.pointer(*node)) {
    const uint64_t task = *node - l.task.runnable_node.offset;
    const auto since = l.task.runnable_at.read(memory, task);
    if (!since) return;
    const uint64_t waited = static_cast<uint32_t>(jiffies) - static_cast<uint32_t>(*since) < 0x80000000u
                                ? static_cast<uint32_t>(jiffies) - static_cast<uint32_t>(*since)
                                : 0;  // became runnable after jiffies were read
    if (task == curr || (oldest && waited <= age)) continue;
    oldest = task;
    age = waited;
  }
  if (!oldest || !read_task(kernel, oldest, r.longest_waiting)) return;
  r.longest_waiting.wait_ns = age * kernel.tick_ns();
  const auto dsq = l.task.dsq.read(memory, oldest);
  if (dsq && *dsq) r.longest_waiting.dsq_id = l.dsq.id.read(memory, *dsq).value_or(0);
  r.has_waiting = true;
}

}  // namespace

uint64_t read_jiffies(const GuestKernel& kernel) {
  const uint64_t at = kernel.places().jiffies;
  return at ? kernel.memory().get<uint64_t>(at).value_or(0) : 0;
}

bool read_task(const GuestKernel& kernel, uint64_t task, TaskReading& out) {
  const GuestMemory& memory = kernel.memory();
  const TaskLayout& l = kernel.layout().task;
  const auto pid = l.pid.read(memory, task);
  const size_t size = std::min<size_t>(l.comm.size, out.comm.size());
  if (!pid || !memory.read(task + l.comm.offset, out.comm.data(), size)) return false;
  out.pid = static_cast<int32_t>(*pid);
  out.sched_class = SchedClass::Unknown;
  const auto sched_class = l.sched_class.read(memory, task);
  const auto& classes = kernel.places().classes;
  for (size_t i = 1; sched_class && i < classes.size(); ++i) {
    if (classes[i] != 0 && classes[i] == *sched_class) out.sched_class = static_cast<SchedClass>(i);
  }
  return true;
}

bool read_run_queue(const GuestKernel& kernel, uint32_t cpu, Reading& reading) {
  const GuestMemory& memory = kernel.memory();
  const RqLayout& l = kernel.layout().rq;
  const uint64_t rq = kernel.per_cpu(kernel.places().runqueues, cpu);
  const auto running = l.nr_running.read(memory, rq);
  const auto clock = l.clock.read(memory, rq);
  if (!running || !clock) return false;

  CpuReading& r = reading.cpus.emplace_back();
  r.cpu = static_cast<uint16_t>(cpu);
  r.nr_running = static_cast<uint32_t>(*running);
  r.rq_clock = *clock;
  r.scx_nr_running = small(memory, l.scx_nr_running, rq);
  r.local_dsq_depth = small(memory, l.local_dsq_depth, rq);
  r.scx_flags = small(memory, l.scx_flags, rq);
  const auto curr = l.curr.read(memory, rq);
  const auto idle = l.idle.read(memory, rq);
  r.idle = curr && idle && *curr != 0 && *curr == *idle;
  if (r.rq_clock > reading.guest_clock_ns) reading.guest_clock_ns = r.rq_clock;

  r.rt_nr_running = small(memory, l.rt_nr_running, rq);
  if (curr && *curr != 0 && !r.idle) r.has_curr = read_task(kernel, *curr, r.curr);
  if (r.scx_nr_running != 0) find_waiting(kernel, rq, curr.value_or(0), reading.jiffies, r);

  if (l.counters.front()) {
    r.has_stats = true;
    for (size_t i = 0; i < kRunQueueCounters.size(); ++i)
      kRunQueueCounters[i].set(r.stats, l.counters[i].read(memory, rq).value_or(0));
  }
  return true;
}

}  // namespace ktstr
