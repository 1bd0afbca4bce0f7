#include "reporter/monitor_summary.h"

#include <algorithm>
#include <functional>

#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// The host is ours, but it copies from a guest: bound whatever grows.
constexpr size_t kMaxNames = 1024;
constexpr size_t kMaxCpus = 8192;

// More than a guest can have: memory that was read while it was something else.
constexpr uint32_t kMaxTasks = 4u << 20;
// How long one CPU may be without its turn when one host thread runs all of them, per CPU (measured: 44 ms
// for 4, 337 ms for 16).
constexpr uint64_t kTurnNs = 50'000'000;

// Of a domain's fields, those that are values, not totals.
bool is_gauge(std::string_view name) {
  return name == "balance_interval" || name == "nr_balance_failed" || name == "newidle_ratio";
}

// Every field of the table, by its name in the schema: a counter that is new there is summed and printed too.
void add_fields(const RunQueueStats& stats, std::map<std::string, int64_t>& sums) {
  const auto& table = reinterpret_cast<const flatbuffers::Table&>(stats);
  const flatbuffers::TypeTable& type = *RunQueueStats::MiniReflectTypeTable();
  for (size_t i = 0; i < type.num_elems; ++i) {
    const auto place = static_cast<flatbuffers::voffset_t>(4 + 2 * i);
    const bool wide = type.type_codes[i].base_type == flatbuffers::ET_ULONG;
    sums[type.names[i]] += wide ? static_cast<int64_t>(table.GetField<uint64_t>(place, 0))
                                : static_cast<int64_t>(table.GetField<uint32_t>(place, 0));
  }
}

}  // namespace

MonitorThresholds MonitorThresholds::of(const TestSpecT& spec) {
  MonitorThresholds t;
  t.imbalance = static_cast<double>(spec.max_imbalance_ratio);
  t.stuck = spec.fail_on_stall;
  t.sustained = spec.sustained_samples;
  t.enforce = spec.enforce;
  if (!spec.scheduler) return t;  // the others are sched_ext's
  t.local_dsq = spec.max_local_dsq_depth;
  t.fallback_rate = static_cast<double>(spec.max_fallback_rate);
  t.keep_last_rate = static_cast<double>(spec.max_keep_last_rate);
  return t;
}

void Sustained::tick(bool violated, double value) {
  worst = std::max(worst, value);
  run = violated ? run + 1 : 0;
  longest = std::max(longest, run);
}

void CounterTrack::see(int64_t value, bool is_new) {
  if (is_new) {
    first = last = value;
    return;
  }
  if (value < last) {  // counts from 0 again
    carried += last - first;
    first = 0;
  }
  last = value;
}

void MonitorSummary::add(LoadAverage& average, const Load& load) {
  ++average.samples;
  average.imbalance_sum += load.imbalance;
  average.imbalance_max = std::max(average.imbalance_max, load.imbalance);
  average.nr_running_sum += load.nr_running;
  average.dsq_sum += load.dsq;
  average.dsq_max = std::max(average.dsq_max, load.dsq_max);
}

std::optional<MonitorSummary::Load> MonitorSummary::fold(const MonitorSample& sample, uint64_t host_ns,
                                                         bool in_workload) {
  ++samples_;
  fold_threads(sample, threads_of_run_);
  if (sample.cpus()) cpus_ = std::max<size_t>(cpus_, sample.cpus()->size());
  cost_ns_ += sample.cost_ns();
  fold_programs(sample.programs());
  fold_maps(sample);
  if (scx_ && !sample.scx_enabled()) return std::nullopt;
  fold_counters(sample);
  fold_domains(sample.domains(), host_ns);
  fold_schedstats(sample);
  fold_queues(sample);
  if (!sample.cpus() || sample.cpus()->size() == 0) return std::nullopt;
  uint64_t cpus = 0, running = 0, dsq = 0;
  uint32_t most = 0, least = UINT32_MAX, dsq_max = 0;
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->rq_clock() == 0) continue;  // not initialised yet
    if (cpu->nr_running() > kMaxTasks || cpu->local_dsq_depth() > kMaxTasks) {
      ++senseless_;
      return std::nullopt;
    }
    ++cpus;
    running += cpu->nr_running();
    dsq += cpu->local_dsq_depth();
    most = std::max(most, cpu->nr_running());
    least = std::min(least, cpu->nr_running());
    dsq_max = std::max(dsq_max, cpu->local_dsq_depth());
  }
  if (cpus == 0) return std::nullopt;
  Load load{.imbalance = static_cast<double>(std::max(most, 1u)) / static_cast<double>(std::max(least, 1u)),
            .nr_running = static_cast<double>(running) / static_cast<double>(cpus),
            .dsq = static_cast<double>(dsq) / static_cast<double>(cpus),
            .dsq_max = dsq_max};
  add(load_, load);
  if (!any_) first_ns_ = host_ns;
  last_ns_ = host_ns;
  any_ = true;
  if (in_workload) tick(sample, load, host_ns);
  return load;
}

void MonitorSummary::fold_counters(const MonitorSample& sample) {
  if (sample.counters()) {
    for (const Counter* counter : *sample.counters()) {
      std::string name(str(counter->name()).substr(0, 128));
      if (counters_.size() >= kMaxNames && !counters_.contains(name)) continue;
      auto [it, is_new] = counters_.try_emplace(std::move(name));
      it->second.see(counter->value(), is_new);
    }
  }
}

void MonitorSummary::fold_domains(const flatbuffers::Vector<flatbuffers::Offset<DomainSample>>* domains,
                                  uint64_t host_ns) {
  if (!domains || domains->size() == 0) return;
  std::map<DomainKey, std::map<std::string_view, int64_t>> sums, greatest;
  for (const DomainSample* domain : *domains) {
    DomainKey key{domain->level(), std::string(str(domain->name()).substr(0, 64))};
    if (sums.size() >= kMaxNames && !sums.contains(key)) continue;
    auto& sum = sums[key];
    DomainUse& use = domains_[key];
    if (use.span.empty()) use.span = std::string(str(domain->span()).substr(0, 256));
    if (!domain->counters()) continue;
    for (const Counter* counter : *domain->counters()) {
      std::string_view name = str(counter->name()).substr(0, 128);
      if (is_gauge(name)) {
        int64_t& value = greatest[key].try_emplace(name, counter->value()).first->second;
        value = std::max(value, counter->value());
      } else {
        sum[name] += counter->value();
      }
    }
  }
  bool first_look = domains_first_ns_ == 0;
  if (first_look) domains_first_ns_ = host_ns;
  domains_last_ns_ = host_ns;
  for (const auto& [key, names] : sums) {
    DomainUse& use = domains_[key];
    for (const auto& [name, value] : names) {
      if (use.counters.size() >= kMaxNames && !use.counters.contains(std::string(name))) continue;
      auto [it, is_new] = use.counters.try_emplace(std::string(name));
      // A counter that is 0 is left out: one that appears later began at 0.
      it->second.see(value, is_new && first_look);
    }
    use.gauges.clear();
    for (const auto& [name, value] : greatest[key]) use.gauges.emplace(name, value);
  }
}

void MonitorSummary::fold_schedstats(const MonitorSample& sample) {
  if (!sample.cpus()) return;
  std::map<std::string, int64_t> sums;
  for (const CpuSample* cpu : *sample.cpus()) {
    if (const RunQueueStats* stats = cpu->stats()) add_fields(*stats, sums);
  }
  if (!sums.empty()) ++schedstat_looks_;
  for (const auto& [name, value] : sums) {
    auto [it, is_new] = schedstats_.try_emplace(name);
    it->second.see(value, is_new);
  }
}

void MonitorSummary::fold_programs(const flatbuffers::Vector<flatbuffers::Offset<ProgramSample>>* programs) {
  if (!programs) return;
  for (const ProgramSample* program : *programs) {
    if (programs_.size() >= kMaxNames && !programs_.contains(program->id())) continue;
    ProgramUse& use = programs_[program->id()];
    if (use.name.empty()) use.name = std::string(str(program->name()).substr(0, 128));
    use.verified_insns = std::max(use.verified_insns, program->verified_insns());
    use.jited_bytes = std::max(use.jited_bytes, program->jited_bytes());
    use.run_count = std::max(use.run_count, program->run_count());
    use.run_ns = std::max(use.run_ns, program->run_ns());
    use.misses = std::max(use.misses, program->misses());
  }
}

void MonitorSummary::fold_maps(const MonitorSample& sample) {
  if (!sample.maps()) return;
  for (const MapSample* map : *sample.maps()) {
    if (maps_.size() >= kMaxNames || maps_.contains(map->id())) continue;
    maps_[map->id()] = {std::string(str(map->name()).substr(0, 64)), map->type(), map->key_size(),
                        map->value_size(), map->max_entries()};
  }
}

void MonitorSummary::fold_queues(const MonitorSample& sample) {
  if (sample.dsqs()) {
    for (const DsqSample* dsq : *sample.dsqs()) {
      DsqKey key{dsq->kind(), dsq->id(), dsq->place()};
      if (dsqs_.size() >= kMaxNames && !dsqs_.contains(key)) continue;
      uint32_t& depth = dsqs_[key];
      depth = std::max(depth, dsq->depth());
    }
  }
  fold_threads(sample, vcpus_);
}

void MonitorSummary::fold_threads(const MonitorSample& sample, std::map<unsigned, VcpuUse>& into) {
  if (!sample.vcpus()) return;
  for (const VcpuThread* thread : *sample.vcpus()) {
    if (into.size() >= kMaxCpus && !into.contains(thread->tid())) continue;
    auto [it, is_new] = into.try_emplace(thread->tid());
    VcpuUse& use = it->second;
    if (is_new) {
      use.name = std::string(str(thread->name()).substr(0, 64));
      use.run_first = thread->run_ns();
      use.wait_first = thread->wait_ns();
    }
    use.run_last = thread->run_ns();
    use.wait_last = thread->wait_ns();
  }
}

void MonitorSummary::fold(const MonitorStopped& stopped, uint64_t host_ns) {
  fold_programs(stopped.programs());
  if (domains_first_ns_ != 0) fold_domains(stopped.domains(), host_ns);
}

double MonitorSummary::domain_seconds() const {
  return static_cast<double>(domains_last_ns_ - domains_first_ns_) / 1e9;
}

void MonitorSummary::tick(const MonitorSample& sample, const Load& load, uint64_t host_ns) {
  auto total = [&](const char* name) {
    auto it = counters_.find(name);
    return it == counters_.end() ? 0 : it->second.delta();
  };
  int64_t fallback = total("SELECT_CPU_FALLBACK"), keep_last = total("DISPATCH_KEEP_LAST");
  bool first = last_tick_ns_ == 0;
  uint64_t elapsed = host_ns - last_tick_ns_;
  // A tenth early is on time: samplers jitter.
  if (!first && elapsed < thresholds_.tick_ns - thresholds_.tick_ns / 10) return;
  uint64_t guest_elapsed = sample.guest_clock_ns() - std::min(sample.guest_clock_ns(), last_tick_clock_);
  // When the host did not run the guest, nothing is learnt of the scheduler: neither good nor bad.
  // In a guest that sleeps the clocks do not advance either.
  bool all_idle =
      std::all_of(sample.cpus()->begin(), sample.cpus()->end(), [](const CpuSample* c) { return c->idle(); });
  // If the only busy CPU is stuck, no clock of the guest advances; the vCPU threads then tell.
  bool guest_ran = first || all_idle || guest_elapsed >= std::min(elapsed, thresholds_.tick_ns) / 2 ||
                   busiest_thread_ns(sample) >= std::max<uint64_t>(elapsed / 2, 1);
  if (!guest_ran) {
    ++exempt_ticks_;
  } else {
    if (!first) {
      ++ticks_;
      const MonitorThresholds& t = thresholds_;
      const double imbalance = bound_imbalance(sample);
      imbalance_.tick(t.imbalance > 0 && imbalance > t.imbalance, imbalance);
      local_dsq_.tick(t.local_dsq > 0 && load.dsq_max > t.local_dsq, load.dsq_max);
      double seconds = static_cast<double>(elapsed) / 1e9;
      double fallback_rate = static_cast<double>(fallback - tick_fallback_) / seconds;
      const int64_t kept =
          std::max<int64_t>(keep_last - tick_keep_last_ - (yields(sample) - tick_yields_), 0);
      double keep_last_rate =
          tasks_wait(sample) ? static_cast<double>(kept) / seconds / std::max(lone_cpus(sample), 1u) : 0;
      fallback_.tick(t.fallback_rate > 0 && fallback_rate > t.fallback_rate, fallback_rate);
      keep_last_.tick(t.keep_last_rate > 0 && keep_last_rate > t.keep_last_rate, keep_last_rate);
    }
    stuck_tick(sample, elapsed, first);
  }
  remember_threads(sample);
  last_tick_ns_ = std::max<uint64_t>(host_ns, 1);
  last_tick_clock_ = sample.guest_clock_ns();
  tick_fallback_ = fallback;
  tick_keep_last_ = keep_last;
  tick_yields_ = yields(sample);
}

// Calls of sched_yield so far; 0 where the kernel keeps none.
int64_t MonitorSummary::yields(const MonitorSample& sample) {
  int64_t sum = 0;
  for (const CpuSample* cpu : *sample.cpus())
    if (cpu->stats()) sum += cpu->stats()->yields();
  return sum;
}

unsigned MonitorSummary::lone_cpus(const MonitorSample& sample) {
  unsigned count = 0;
  for (const CpuSample* cpu : *sample.cpus()) count += !cpu->idle() && cpu->nr_running() == 1;
  return count;
}

// The ratio of nr_running less the tasks that wait in shared DSQs, taken from the fullest CPUs.
double MonitorSummary::bound_imbalance(const MonitorSample& sample) {
  std::vector<uint32_t> load;
  bool idle = false;
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->rq_clock() == 0) continue;
    idle = idle || cpu->idle();
    load.push_back(std::max(cpu->nr_running(), 1u));
  }
  uint64_t shared = 0, waiting = 0, queues = 0;
  if (sample.dsqs() && !idle) {
    for (const DsqSample* dsq : *sample.dsqs()) {
      if (dsq->kind() == DsqKind::Global) shared += dsq->depth();
      if (dsq->kind() != DsqKind::User) continue;
      ++queues;
      waiting += dsq->depth();
    }
    if (queues < load.size()) shared += waiting;
  }
  std::sort(load.begin(), load.end(), std::greater<>());
  // As if poured out: the fullest go down together.
  for (size_t level = 1; level <= load.size() && shared > 0; ++level) {
    const uint32_t floor = level < load.size() ? load[level] : 1;
    const uint64_t step = std::min<uint64_t>(load[0] - floor, (shared + level - 1) / level);
    for (size_t i = 0; i < level; ++i) load[i] -= static_cast<uint32_t>(step);
    shared -= std::min<uint64_t>(shared, step * level);
  }
  if (load.empty()) return 1;
  return static_cast<double>(load.front()) / static_cast<double>(load.back());
}

// Does a task wait while others run?
bool MonitorSummary::tasks_wait(const MonitorSample& sample) {
  for (const CpuSample* cpu : *sample.cpus())
    if (cpu->nr_running() > (cpu->idle() ? 0u : 1u) || cpu->local_dsq_depth() > 0) return true;
  if (sample.dsqs())
    for (const DsqSample* dsq : *sample.dsqs())
      if (dsq->depth() > 0) return true;
  return false;
}

// A CPU is stuck when it has work and its clock does not advance, while the guest's does and the host runs the CPU.
void MonitorSummary::stuck_tick(const MonitorSample& sample, uint64_t elapsed, bool first) {
  const uint64_t turns = shared_thread_ ? kTurnNs * sample.cpus()->size() : 0;
  unsigned worst = 0;
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->cpu() >= kMaxCpus) continue;
    if (cpu->cpu() >= watch_.size()) watch_.resize(cpu->cpu() + size_t{1});
    CpuWatch& watch = watch_[cpu->cpu()];
    const bool busy = !cpu->idle() && cpu->nr_running() > 0 && cpu->rq_clock() != 0;
    if (busy && !first && cpu->rq_clock() == watch.rq_clock) {
      const HostShare share = host_share(sample, cpu->cpu());
      const bool ran = !share.known || (share.run_ns >= elapsed / 4 && share.wait_ns <= elapsed / 2);
      watch.ran_ns += share.known ? share.run_ns : elapsed;
      if (ran && watch.ran_ns > turns) ++watch.stuck;
    } else {
      watch.stuck = 0;
      watch.ran_ns = 0;
    }
    watch.rq_clock = cpu->rq_clock();
    worst = std::max(worst, watch.stuck);
    if (watch.stuck > stuck_.longest) stuck_cpu_ = cpu->cpu();
  }
  stuck_.run = worst;
  stuck_.longest = std::max(stuck_.longest, worst);
}

// "CPU 3/KVM" runs one vCPU, "ALL CPUs/TCG" all of them.
MonitorSummary::HostShare MonitorSummary::host_share(const MonitorSample& sample, unsigned cpu) const {
  HostShare share;
  if (!sample.vcpus()) return share;
  const std::string own = "CPU " + std::to_string(cpu) + "/";
  for (const VcpuThread* thread : *sample.vcpus()) {
    const std::string_view name = str(thread->name());
    if (!name.starts_with(own) && !name.starts_with("ALL CPUs/")) continue;
    const auto before = threads_.find(thread->tid());
    if (before == threads_.end()) continue;
    share.run_ns = thread->run_ns() - std::min(thread->run_ns(), before->second.run_ns);
    share.wait_ns = thread->wait_ns() - std::min(thread->wait_ns(), before->second.wait_ns);
    share.known = true;
  }
  return share;
}

// What the vCPU thread that ran most has run since the last tick; 0: not known.
uint64_t MonitorSummary::busiest_thread_ns(const MonitorSample& sample) const {
  uint64_t most = 0;
  if (!sample.vcpus()) return most;
  for (const VcpuThread* thread : *sample.vcpus()) {
    const auto before = threads_.find(thread->tid());
    if (before == threads_.end()) continue;
    most = std::max(most, thread->run_ns() - std::min(thread->run_ns(), before->second.run_ns));
  }
  return most;
}

void MonitorSummary::remember_threads(const MonitorSample& sample) {
  if (!sample.vcpus()) return;
  threads_.clear();
  for (const VcpuThread* thread : *sample.vcpus()) {
    if (threads_.size() >= kMaxCpus) break;
    threads_[thread->tid()] = {thread->run_ns(), thread->wait_ns(), true};
    shared_thread_ = shared_thread_ || str(thread->name()).starts_with("ALL CPUs/");
  }
}

double MonitorSummary::seconds() const { return any_ ? static_cast<double>(last_ns_ - first_ns_) / 1e9 : 0; }

double MonitorSummary::rate(const CounterTrack& track) const {
  double s = seconds();
  return s > 0 ? static_cast<double>(track.delta()) / s : 0;
}

bool MonitorSummary::any_sustained() const {
  return sustained(imbalance_) || sustained(local_dsq_) || sustained(fallback_) || sustained(keep_last_) ||
         sustained(stuck_);
}

}  // namespace ktstr
