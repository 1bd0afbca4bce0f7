#include "monitor/walkers.h"

namespace ktstr {

std::optional<CpuSampleT> read_run_queue(const GuestKernel& kernel, uint32_t cpu, bool stats) {
  const GuestMemory& memory = kernel.memory();
  const RqLayout& l = kernel.layout().rq;
  const uint64_t rq = kernel.per_cpu(kernel.symbol("runqueues"), cpu);
  const auto running = l.nr_running.read(memory, rq);
  const auto clock = l.clock.read(memory, rq);
  if (!running || !clock) return std::nullopt;

  CpuSampleT s;
  s.cpu = static_cast<uint16_t>(cpu);
  s.nr_running = static_cast<uint32_t>(*running);
  s.rq_clock = *clock;
  s.scx_nr_running = static_cast<uint32_t>(l.scx_nr_running.read(memory, rq).value_or(0));
  s.local_dsq_depth = static_cast<uint32_t>(l.local_dsq_depth.read(memory, rq).value_or(0));
  s.scx_flags = static_cast<uint32_t>(l.scx_flags.read(memory, rq).value_or(0));
  const auto curr = l.curr.read(memory, rq);
  const auto idle = l.idle.read(memory, rq);
  s.idle = curr && idle && *curr != 0 && *curr == *idle;

  if (stats && l.switches) {
    auto t = std::make_unique<RunQueueStatsT>();
    t->yields = static_cast<uint32_t>(l.yields.read(memory, rq).value_or(0));
    t->switches = static_cast<uint32_t>(l.switches.read(memory, rq).value_or(0));
    t->idle_switches = static_cast<uint32_t>(l.idle_switches.read(memory, rq).value_or(0));
    t->wakeups = static_cast<uint32_t>(l.wakeups.read(memory, rq).value_or(0));
    t->local_wakeups = static_cast<uint32_t>(l.local_wakeups.read(memory, rq).value_or(0));
    t->run_ns = l.run_ns.read(memory, rq).value_or(0);
    t->wait_ns = l.wait_ns.read(memory, rq).value_or(0);
    t->slices = l.slices.read(memory, rq).value_or(0);
    s.stats = std::move(t);
  }
  return s;
}

}  // namespace ktstr
