#include "reporter/html/sample_series.h"

#include <algorithm>

#include "schemas/envelope.h"

namespace ktstr {
namespace {

template <typename T>
void raise(std::vector<T>& values, size_t place, T value) {
  if (values.size() <= place) values.resize(place + 1);
  values[place] = std::max(values[place], value);
}

uint16_t narrow(uint32_t value) { return static_cast<uint16_t>(std::min<uint32_t>(value, UINT16_MAX)); }

}  // namespace

void SampleSeries::join(Step& into, Step& later) {
  if (later.samples == 0) return;
  if (into.samples == 0) {
    into = std::move(later);
    return;
  }
  into.samples += later.samples;
  into.last_ns = later.last_ns;
  if (into.cpus.size() < later.cpus.size()) into.cpus.resize(later.cpus.size());
  for (size_t i = 0; i < later.cpus.size(); ++i) {
    into.cpus[i].running = std::max(into.cpus[i].running, later.cpus[i].running);
    into.cpus[i].local = std::max(into.cpus[i].local, later.cpus[i].local);
  }
  into.running += later.running;
  into.idle += later.idle;
  into.wait_ns = std::max(into.wait_ns, later.wait_ns);
  for (size_t i = 0; i < later.dsqs.size(); ++i) raise(into.dsqs, i, later.dsqs[i]);
  if (!later.counters.empty()) into.counters = std::move(later.counters);
  if (!later.schedstats.empty()) into.schedstats = std::move(later.schedstats);
}

SampleSeries::Step& SampleSeries::step_at(int64_t guest_ns) {
  if (steps_.empty()) origin_ = guest_ns;
  const auto place = [&] {
    return guest_ns <= origin_ ? 0
                               : (static_cast<uint64_t>(guest_ns) - static_cast<uint64_t>(origin_)) /
                                     static_cast<uint64_t>(width_);
  };
  while (place() >= points_ && width_ <= INT64_MAX / 2) {
    for (size_t i = 0; i < steps_.size(); i += 2) {
      if (i + 1 < steps_.size()) join(steps_[i], steps_[i + 1]);
      if (i > 0) steps_[i / 2] = std::move(steps_[i]);
    }
    steps_.resize((steps_.size() + 1) / 2);
    width_ *= 2;
  }
  const size_t at = std::min<size_t>(place(), points_ - 1);
  if (steps_.size() <= at) steps_.resize(at + 1);
  return steps_[at];
}

void SampleSeries::fold(const MonitorSample& sample, int64_t guest_ns) {
  Step one;
  one.samples = 1;
  one.last_ns = guest_ns;
  if (const auto* cpus = sample.cpus()) {
    uint64_t stats[3] = {};
    bool any_stats = false;
    for (const CpuSample* cpu : *cpus) {
      if (cpu->cpu() >= kMostCpus) continue;
      cpus_ = std::max<size_t>(cpus_, cpu->cpu() + 1u);
      if (one.cpus.size() <= cpu->cpu()) one.cpus.resize(cpu->cpu() + 1u);
      one.cpus[cpu->cpu()] = {narrow(cpu->nr_running()), narrow(cpu->local_dsq_depth())};
      one.running += cpu->nr_running();
      one.idle += cpu->idle();
      if (const TaskSeen* task = cpu->longest_waiting()) one.wait_ns = std::max(one.wait_ns, task->wait_ns());
      if (const RunQueueStats* s = cpu->stats()) {
        any_stats = true;
        stats[0] += s->switches();
        stats[1] += s->wakeups();
        stats[2] += s->yields();
      }
    }
    if (any_stats) one.schedstats.assign(std::begin(stats), std::end(stats));
  }
  if (const auto* dsqs = sample.dsqs()) {
    for (const DsqSample* dsq : *dsqs) {
      const DsqKey key{dsq->kind(), dsq->id(), dsq->kind() == DsqKind::User ? 0 : dsq->place()};
      auto it = dsq_places_.find(key);
      if (it == dsq_places_.end()) {
        if (dsq_keys_.size() >= kMostDsqs) {
          ++dsqs_left_out_;
          continue;
        }
        it = dsq_places_.emplace(key, dsq_keys_.size()).first;
        dsq_keys_.push_back(key);
      }
      raise(one.dsqs, it->second, dsq->depth());
    }
  }
  if (const auto* counters = sample.counters()) {
    for (const Counter* counter : *counters) {
      const std::string name(str(counter->name()).substr(0, 128));
      auto it = counter_places_.find(name);
      if (it == counter_places_.end()) {
        if (counter_names_.size() >= kMostCounters) continue;
        it = counter_places_.emplace(name, counter_names_.size()).first;
        counter_names_.push_back(name);
      }
      if (one.counters.size() <= it->second) one.counters.resize(it->second + 1);
      one.counters[it->second] = counter->value();
    }
  }
  join(step_at(guest_ns), one);
}

}  // namespace ktstr
