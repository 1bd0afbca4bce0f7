#include "monitor/inspect.h"

#include <cinttypes>
#include <cstdio>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "monitor/run_queue_counters.h"
#include "monitor/sampler.h"
#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

void print(const GuestKernel& kernel, uint64_t attach_ns) {
  std::printf("kernel %s kaslr %#" PRIx64 " levels %d cpus %u symbols %" PRIu64 " attach %s\n",
              printable(kernel.info().release()).c_str(), kernel.info().kaslr_offset(),
              kernel.levels5() ? 5 : 4, kernel.cpus(), kernel.layout().symbols_seen,
              human_ns(attach_ns).c_str());
  for (const std::string& name : kernel.layout().absent) std::printf("absent %s\n", name.c_str());
}

void print(const MonitorSampleT& s) {
  std::printf("sample %" PRIu64 " clock %" PRIu64 " cost %s%s state %s enabled %d exit_kind %#" PRIx64
              " seq %" PRIu64 " ops %s\n",
              s.index, s.guest_clock_ns, human_ns(s.cost_ns).c_str(), s.full ? " full" : "", s.state.c_str(),
              s.scx_enabled, s.exit_kind, s.enable_seq, printable(s.ops_name).c_str());
  for (const auto& c : s.cpus) {
    std::printf("cpu %u nr_running %u scx %u local_dsq %u clock %" PRIu64 " flags %#x%s", c->cpu,
                c->nr_running, c->scx_nr_running, c->local_dsq_depth, c->rq_clock, c->scx_flags,
                c->idle ? " idle" : "");
    if (c->stats) {
      for (const RunQueueCounter& counter : kRunQueueCounters)
        std::printf(" %s %" PRIu64, counter.place, counter.get(*c->stats));
    }
    std::printf(" rt %u", c->rt_nr_running);
    if (c->curr) {
      std::printf(" curr %s[%d] %s", printable(c->curr->comm).c_str(), c->curr->pid,
                  EnumNameSchedClass(c->curr->sched_class));
    }
    if (const auto& w = c->longest_waiting) {
      std::printf(" waiting %s[%d] %s %s", printable(w->comm).c_str(), w->pid, human_ns(w->wait_ns).c_str(),
                  waits_in(w->dsq_id ? dsq_name(w->dsq_id) : "").c_str());
    }
    std::printf("\n");
  }
  for (const auto& c : s.counters) std::printf("SCX_EV_%s %" PRId64 "\n", c->name.c_str(), c->value);
  for (const auto& d : s.domains) {
    std::printf("domain cpu %u level %u %s span %s", d->cpu, d->level, printable(d->name).c_str(),
                d->span.c_str());
    for (const auto& c : d->counters) std::printf(" %s=%" PRId64, c->name.c_str(), c->value);
    std::printf("\n");
  }
  for (const auto& p : s.programs) {
    std::printf("PROG %u name=%s tag=%s jited=%u verified=%u runs=%" PRIu64 " ns=%" PRIu64 " misses=%" PRIu64
                " maps",
                p->id, printable(p->name).c_str(), p->tag.c_str(), p->jited_bytes, p->verified_insns,
                p->run_count, p->run_ns, p->misses);
    for (const uint32_t map : p->maps) std::printf(" %u", map);
    std::printf("\n");
  }
  for (const auto& m : s.maps) {
    std::printf("MAP %u name=%s type=%u key=%u value=%u entries=%u\n", m->id, printable(m->name).c_str(),
                m->type, m->key_size, m->value_size, m->max_entries);
  }
  for (const auto& d : s.dsqs) {
    std::printf("%s: depth %u\n", dsq_name(d->id, d->kind, d->place).c_str(), d->depth);
  }
}

}  // namespace

int inspect_ram(const InspectOptions& options, const Clock& clock) {
  const uint64_t begin = clock.monotonic_ns();
  const auto ram = open_ram_file(options.path);
  if (!ram) {
    log_error(ram.error().to_string());
    return 1;
  }
  LayoutCache layouts;
  const auto kernel = GuestKernel::attach(**ram, RamLayout::q35((*ram)->size()), layouts);
  if (!kernel) {
    log_error(options.path + ": " + kernel.error().to_string());
    return 1;
  }
  print(*kernel, clock.monotonic_ns() - begin);
  Sampler sampler(*kernel, clock, 1);
  for (uint64_t i = 0; i < options.samples; ++i) {
    if (i) std::this_thread::sleep_for(std::chrono::nanoseconds(options.period_ns));
    if (const Status status = sampler.read()) {
      print(sampler.sample());
    } else {
      std::printf("failed %s\n", status.error().message().c_str());
    }
  }
  for (const auto& [part, count] : sampler.parts_failed())
    std::printf("part failed %s %" PRIu64 "\n", part.c_str(), count);
  return 0;
}

}  // namespace ktstr
