#include "reporter/stall_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

void tally(const CpuSample& cpu, CpuTally& t) {
  t.local_waiting = cpu.local_dsq_depth() > 0;
  const TaskSeen* curr = cpu.curr();
  if (!curr) {
    ++t.idle;
  } else if (curr->sched_class() == SchedClass::Ext) {
    ++t.ext;
    t.ext_tasks[0] = {curr->pid(), std::string(str(curr->comm()).substr(0, 64)), 1};
  } else if (curr->sched_class() == SchedClass::RealTime || curr->sched_class() == SchedClass::Deadline ||
             curr->sched_class() == SchedClass::Stop) {
    ++t.real_time;
  } else {
    ++t.other;
  }
}

}  // namespace

void CpuTally::add(const CpuTally& one) {
  idle += one.idle;
  ext += one.ext;
  real_time += one.real_time;
  other += one.other;
  local_waiting += one.local_waiting;
  for (const Holder& seen : one.ext_tasks) {
    if (seen.pid == 0) return;
    const auto place =
        std::ranges::find_if(ext_tasks, [&](const Holder& h) { return h.pid == seen.pid || h.pid == 0; });
    if (place == ext_tasks.end()) continue;
    if (place->pid == 0) *place = {seen.pid, seen.comm, 0};
    place->samples += seen.samples;
  }
}

const CpuTally::Holder& CpuTally::most() const {
  return *std::ranges::max_element(ext_tasks, {}, &Holder::samples);
}

std::optional<uint64_t> Wait::taken_from(uint64_t dsq) const {
  if (!dsqs_first || dsqs_first == dsqs_last) return std::nullopt;
  const auto before = dsqs_first->dsqs.find(dsq), after = dsqs_last->dsqs.find(dsq);
  if (before == dsqs_first->dsqs.end() || after == dsqs_last->dsqs.end()) return std::nullopt;
  if (after->second.seq == 0 && after->second.depth != 0) return std::nullopt;  // a log without seq
  const uint32_t inserted = after->second.seq - before->second.seq;
  const int64_t grown = int64_t{after->second.depth} - int64_t{before->second.depth};
  return static_cast<uint64_t>(std::max<int64_t>(int64_t{inserted} - grown, 0));
}

bool Wait::host_starved() const {
  constexpr uint64_t kEnough = 500'000'000;  // of a CPU, ns: 25 slices of 20 ms
  if (span_ns == 0 || host_wait_ns * 4 <= span_ns * 3 || ran_idle * 2 >= samples || vcpu_threads == 0)
    return false;
  if (span_ns < wait_ns / 2) return false;  // what the host did for most of the wait was not seen
  const uint64_t ran = span_ns - std::min(span_ns, host_wait_ns);
  return ran * std::min<uint64_t>(vcpu_threads, cpus.size()) < kEnough * cpus.size();
}

std::string Wait::host_words() const {
  return fmt::format("the host ran the guest's {} for {} of {}", cpus.size() == 1 ? "CPU" : "CPUs",
                     human_ns(span_ns - std::min(span_ns, host_wait_ns)), human_ns(span_ns));
}

std::optional<uint64_t> Wait::calls(const std::string& program, unsigned on_cpu) const {
  if (!runs_first || runs_first == runs_last) return std::nullopt;
  const auto before = runs_first->cpu_runs.find(program), after = runs_last->cpu_runs.find(program);
  if (before == runs_first->cpu_runs.end() || after == runs_last->cpu_runs.end()) return std::nullopt;
  if (on_cpu >= before->second.size() || on_cpu >= after->second.size()) return std::nullopt;
  return after->second[on_cpu] - std::min(before->second[on_cpu], after->second[on_cpu]);
}

void StallWatch::fold(const MonitorSample& sample, uint64_t host_ns) {
  if (!sample.cpus()) return;
  std::vector<uint64_t> host_wait;
  if (sample.vcpus())
    for (const VcpuThread* thread : *sample.vcpus()) host_wait.push_back(thread->wait_ns());
  const auto look = look_at(sample);
  std::vector<CpuTally> tallies;
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->cpu() >= 8192) continue;
    if (cpu->cpu() >= tallies.size()) tallies.resize(cpu->cpu() + size_t{1});
    tally(*cpu, tallies[cpu->cpu()]);
  }
  for (const CpuSample* cpu : *sample.cpus()) {
    if (cpu->cpu() >= 8192) continue;
    if (cpu->cpu() >= open_.size()) open_.resize(cpu->cpu() + size_t{1});
    Open& open = open_[cpu->cpu()];
    const TaskSeen* waiter = cpu->longest_waiting();
    // The kernel's count starts again when the task has run.
    // One that has waited as long as the one before waited beside it all the time: what was seen counts for it, too.
    const bool goes_on = waiter && open.wait.pid && waiter->wait_ns() >= open.wait.wait_ns;
    if (goes_on && open.wait.pid != waiter->pid()) {
      keep(open.wait);
      open.wait.pid = waiter->pid();
      open.wait.comm = std::string(str(waiter->comm()).substr(0, 64));
      open.wait.dsq_id = waiter->dsq_id();
    }
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
    const CpuTally& now = tallies[cpu->cpu()];
    wait.ran_idle += now.idle;
    wait.ran_ext += now.ext;
    wait.ran_rt += now.real_time;
    wait.ran_other += now.other;
    if (now.real_time) {
      wait.rt_comm = std::string(str(cpu->curr()->comm()).substr(0, 64));
      wait.rt_pid = cpu->curr()->pid();
    }
    if (wait.cpus.size() < tallies.size()) wait.cpus.resize(tallies.size());
    for (size_t i = 0; i < tallies.size(); ++i) wait.cpus[i].add(tallies[i]);
    // The kernel's bypass at the abort moves everything: what is seen then is not what the scheduler did.
    if (sample.scx_enabled() && sample.exit_kind() == 0) {
      wait.dsqs_last = look;
      if (!wait.dsqs_first) wait.dsqs_first = look;
      if (!look->cpu_runs.empty()) {
        wait.runs_last = look;
        if (!wait.runs_first) wait.runs_first = look;
      }
    }
    wait.span_ns = host_ns - open.since_ns;
    wait.vcpu_threads = static_cast<uint32_t>(host_wait.size());
    for (size_t i = 0; i < std::min(host_wait.size(), open.host_wait_at_start.size()); ++i) {
      if (host_wait[i] > open.host_wait_at_start[i])
        wait.host_wait_ns = std::max(wait.host_wait_ns, host_wait[i] - open.host_wait_at_start[i]);
    }
  }
}

std::shared_ptr<const ServiceLook> StallWatch::look_at(const MonitorSample& sample) {
  auto look = std::make_shared<ServiceLook>();
  if (sample.dsqs())
    for (const DsqSample* dsq : *sample.dsqs())
      if (dsq->kind() != DsqKind::Bypass && look->dsqs.size() < kMaxDsqs)
        look->dsqs[dsq->id()] = {dsq->seq(), dsq->depth()};
  if (sample.programs())
    for (const ProgramSample* program : *sample.programs())
      if (program->cpu_runs() && look->cpu_runs.size() < kMaxPrograms)
        look->cpu_runs[std::string(str(program->name()).substr(0, 128))].assign(program->cpu_runs()->begin(),
                                                                                program->cpu_runs()->end());
  return look;
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
