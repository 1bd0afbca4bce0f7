#include "monitor/reading.h"

#include <algorithm>
#include <cstring>

#include "base/cpu_list.h"
#include "base/text.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

template <size_t N>
std::string text_of(const std::array<char, N>& chars) {
  return std::string(chars.data(), ::strnlen(chars.data(), N));
}

std::unique_ptr<CounterT> counter(const std::string& name, uint64_t value) {
  auto c = std::make_unique<CounterT>();
  c->name = name;
  c->value = static_cast<int64_t>(value);
  return c;
}

std::unique_ptr<TaskSeenT> to_event(const TaskReading& r) {
  auto t = std::make_unique<TaskSeenT>();
  t->pid = r.pid;
  t->comm = text_of(r.comm);
  t->sched_class = r.sched_class;
  t->wait_ns = r.wait_ns;
  t->dsq_id = r.dsq_id;
  return t;
}

std::unique_ptr<CpuSampleT> to_event(const CpuReading& r) {
  auto s = std::make_unique<CpuSampleT>();
  s->cpu = r.cpu;
  s->nr_running = r.nr_running;
  s->scx_nr_running = r.scx_nr_running;
  s->local_dsq_depth = r.local_dsq_depth;
  s->rq_clock = r.rq_clock;
  s->scx_flags = r.scx_flags;
  s->idle = r.idle;
  s->rt_nr_running = r.rt_nr_running;
  if (r.has_curr) s->curr = to_event(r.curr);
  if (r.has_waiting) s->longest_waiting = to_event(r.longest_waiting);
  if (r.has_stats) s->stats = std::make_unique<RunQueueStatsT>(r.stats);
  return s;
}

}  // namespace

void Reading::clear() {
  full = false;
  guest_clock_ns = jiffies = 0;
  state = UINT32_MAX;
  root = enable_seq = 0;
  cpus.clear();
  clear_scheduler();
  clear_domains();
  programs.clear();
  cpu_runs.clear();
}

void Reading::clear_scheduler() {
  exit_kind = 0;
  ops_name[0] = '\0';
  has_counters = false;
  counters.clear();
  dsqs.clear();
}

void Reading::clear_domains() {
  domains.clear();
  domain_values.clear();
  domain_spans.clear();
}

DomainSampleT to_event(const Reading& reading, const DomainReading& domain, const DomainLayout& layout) {
  DomainSampleT s;
  s.cpu = domain.cpu;
  s.level = domain.level;
  s.name = text_of(domain.name);
  std::vector<unsigned> cpus;
  for (uint32_t bit = 0; bit < reading.span_words * 64; ++bit) {
    if ((reading.domain_spans[domain.first_span + bit / 64] >> (bit % 64)) & 1) cpus.push_back(bit);
  }
  s.span = cpu_list(std::move(cpus));
  for (size_t i = 0; i < layout.counters.size(); ++i) {
    const uint64_t value = reading.domain_values[domain.first_value + i];
    if (value) s.counters.push_back(counter(layout.counters[i].name, value));
  }
  return s;
}

ProgramSampleT to_event(const Reading& reading, const ProgramReading& program) {
  ProgramSampleT s;
  s.id = program.facts->id;
  s.name = program.facts->name;
  s.tag = program.facts->tag;
  s.insns = program.facts->insns;
  s.jited_bytes = program.facts->jited_bytes;
  s.verified_insns = program.facts->verified_insns;
  for (const MapSampleT& map : program.facts->maps) s.maps.push_back(map.id);
  s.run_count = program.runs;
  s.run_ns = program.run_ns;
  s.misses = program.misses;
  const auto first = reading.cpu_runs.begin() + program.first_cpu_runs;
  s.cpu_runs.assign(first, first + program.cpus);
  return s;
}

MonitorSampleT to_event(const Reading& r, const KernelLayout& layout) {
  MonitorSampleT s;
  s.guest_clock_ns = r.guest_clock_ns;
  s.full = r.full;
  s.exit_kind = r.exit_kind;
  s.enable_seq = r.enable_seq;
  s.ops_name = text_of(r.ops_name);
  const auto state = layout.scx.states.find(r.state);
  if (state != layout.scx.states.end()) s.state = state->second;
  s.scx_enabled = s.state.empty() ? r.root != 0 && r.exit_kind == 0 : s.state == kScxStateEnabled;
  for (const CpuReading& cpu : r.cpus) s.cpus.push_back(to_event(cpu));
  for (size_t i = 0; r.has_counters && i < r.counters.size(); ++i) {
    s.counters.push_back(counter(layout.scx.events[i].name, r.counters[i]));
  }
  for (const DomainReading& domain : r.domains) {
    s.domains.push_back(std::make_unique<DomainSampleT>(to_event(r, domain, layout.domain)));
  }
  for (const ProgramReading& program : r.programs) {
    s.programs.push_back(std::make_unique<ProgramSampleT>(to_event(r, program)));
    for (const MapSampleT& map : program.facts->maps) {
      const bool there =
          std::any_of(s.maps.begin(), s.maps.end(), [&](const auto& m) { return m->id == map.id; });
      if (!there) s.maps.push_back(std::make_unique<MapSampleT>(map));
    }
  }
  for (const DsqReading& dsq : r.dsqs) {
    auto d = std::make_unique<DsqSampleT>();
    d->id = dsq.id;
    d->depth = dsq.depth;
    d->kind = dsq.kind;
    d->place = dsq.place;
    d->seq = dsq.seq;
    s.dsqs.push_back(std::move(d));
  }
  return s;
}

}  // namespace ktstr
