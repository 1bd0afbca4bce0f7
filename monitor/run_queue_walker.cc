#include "monitor/walkers.h"

namespace ktstr {
namespace {

uint32_t small(const GuestMemory& memory, const Field& field, uint64_t base) {
  return static_cast<uint32_t>(field.read(memory, base).value_or(0));
}

}  // namespace

bool read_run_queue(const GuestKernel& kernel, uint32_t cpu, bool stats, Reading& reading) {
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

  if (stats && l.switches) {
    r.has_stats = true;
    r.yields = small(memory, l.yields, rq);
    r.switches = small(memory, l.switches, rq);
    r.idle_switches = small(memory, l.idle_switches, rq);
    r.wakeups = small(memory, l.wakeups, rq);
    r.local_wakeups = small(memory, l.local_wakeups, rq);
    r.run_ns = l.run_ns.read(memory, rq).value_or(0);
    r.wait_ns = l.wait_ns.read(memory, rq).value_or(0);
    r.slices = l.slices.read(memory, rq).value_or(0);
  }
  return true;
}

}  // namespace ktstr
