#include "guest/init/workload.h"

#include <algorithm>

#include "base/clock.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::guest {

Status Workload::add_batch(const CgroupSpecT& group, uint32_t step) {
  if (workers() + group.workers > kMaxWorkers)
    return Error::exhausted(std::to_string(workers() + group.workers) +
                            " workers are more than the limit of " + std::to_string(kMaxWorkers));
  WorkerProgram program;
  const bool custom = group.work == WorkType::Custom;
  if (custom) {
    auto made = program_of_(group.payload);
    if (!made) return std::move(made).error();
    program = std::move(*made);
  }
  auto folder = cgroups_.open(group.name);
  if (!folder) return std::move(folder).error();
  uint32_t& next = next_index_[group.name];
  auto batch = std::make_unique<WorkerBatch>(loop_, group, next, step);
  if (auto forked = batch->fork(folder->get(), custom ? &program : nullptr); !forked) {
    batches_.push_back(std::move(batch));  // its children are still to be reaped
    return forked;
  }
  next += group.workers;
  const std::string cpus = cgroups_.cpuset(group.name);
  batch->allow(allowed_by(group.name, cpus), false, cpus);
  batches_.push_back(std::move(batch));
  return {};
}

Status Workload::start(const std::function<void()>& before_go) {
  Status status;
  for (const auto& group : spec_.cgroups) {
    if (status) status = cgroups_.add(group->name, group->cpuset);
    if (status) status = add_batch(*group, 0);
  }
  if (!status) {
    stop(kSecond);
    return status;
  }
  const uint64_t now = now_ns();
  for (auto& batch : batches_) {
    if (before_go) before_go();
    batch->go(before_go ? now_ns() : now);
  }
  return {};
}

void Workload::ask_to_stop() {
  for (auto& batch : batches_) batch->ask_to_stop();
}

void Workload::stop(uint64_t grace_ns) {
  ask_to_stop();
  const uint64_t deadline = now_ns() + grace_ns;
  for (auto& batch : batches_) batch->stop(deadline, grace_ns / 5);
}

void Workload::report(EventChannel& channel) const {
  for (const auto& batch : batches_)
    for (WorkerReportT& report : batch->reports()) channel.send(std::move(report));
}

Status Workload::spawn(const CgroupSpecT& group, uint32_t step) {
  if (auto added = add_batch(group, step); !added) return added;
  batches_.back()->go(now_ns());
  return {};
}

void Workload::stop_group(const std::string& cgroup, uint64_t grace_ns) {
  const uint64_t deadline = now_ns() + grace_ns;
  for (auto& batch : batches_)
    if (batch->place() == cgroup) batch->ask_to_stop();
  for (auto& batch : batches_)
    if (batch->place() == cgroup) batch->stop(deadline, grace_ns / 5);
}

void Workload::allow(const std::string& cgroup, const std::string& cpus, bool keep_old) {
  for (auto& batch : batches_)
    if (batch->place() == cgroup && !batch->stopped()) batch->allow(allowed_by(cgroup, cpus), keep_old, cpus);
}

// Empty: all CPUs.
std::vector<unsigned> Workload::allowed_by(const std::string& cgroup, const std::string& cpuset) {
  std::vector<unsigned> cpus = cpus_of(cpuset);
  if (offline_.empty() && !emptied_.contains(cgroup)) return cpus;
  const auto away = [this](unsigned cpu) { return offline_.contains(cpu); };
  if (!cpus.empty() && std::all_of(cpus.begin(), cpus.end(), away)) emptied_.insert(cgroup);
  if (cpus.empty() || emptied_.contains(cgroup)) {
    cpus.clear();
    const TopologyT& t = *spec_.topology;
    for (unsigned cpu = 0; cpu < t.llcs * t.cores * t.threads; ++cpu) cpus.push_back(cpu);
  }
  std::erase_if(cpus, away);
  return cpus;
}

void Workload::cpus_change(const std::vector<unsigned>& cpus, bool online) {
  for (const unsigned cpu : cpus) {
    if (online)
      offline_.erase(cpu);
    else
      offline_.insert(cpu);
  }
  // Meanwhile the kernel moves tasks from CPU to CPU, wherever it finds one: all are allowed.
  for (auto& batch : batches_)
    if (!batch->stopped()) batch->allow({}, true, cgroups_.cpuset(batch->place()));
}

void Workload::cpus_changed() {
  for (auto& batch : batches_)
    if (!batch->stopped()) {
      const std::string cpuset = cgroups_.cpuset(batch->place());
      batch->allow(allowed_by(batch->place(), cpuset), false, cpuset);
    }
}

Status Workload::set_cpuset(const std::string& cgroup, const std::string& cpus) {
  const std::string before = cgroups_.cpuset(cgroup);
  emptied_.erase(cgroup);
  allow(cgroup, cpus, true);
  auto set = cgroups_.set_cpuset(cgroup, cpus);
  allow(cgroup, set ? cpus : before, false);
  return set;
}

Status Workload::swap_cpusets(const std::string& a, const std::string& b) {
  const std::string of_a = cgroups_.cpuset(a), of_b = cgroups_.cpuset(b);
  if (auto set = set_cpuset(a, of_b); !set) return set;
  return set_cpuset(b, of_a);
}

Status Workload::set_affinity(const std::string& cgroup, const std::string& cpus) {
  for (auto& batch : batches_) {
    if (batch->place() != cgroup || batch->stopped()) continue;
    if (auto set = batch->set_affinity(cpus); !set) return set;
  }
  return {};
}

Status Workload::move_all(const std::string& from, const std::string& to) {
  const std::string before = cgroups_.cpuset(from), after = cgroups_.cpuset(to);
  allow(from, after, true);
  auto moved = cgroups_.move_all(from, to);
  if (!moved) return moved;  // some may have moved: both cpusets stay allowed
  allow(from, after, false);
  for (auto& batch : batches_)
    if (batch->place() == from && !batch->stopped()) batch->move_to(to);
  return {};
}

bool Workload::on_end(pid_t pid, int wait_status, const rusage& usage) {
  return std::any_of(batches_.begin(), batches_.end(),
                     [&](auto& batch) { return batch->on_end(pid, wait_status, usage); });
}

size_t Workload::running() const {
  size_t sum = 0;
  for (const auto& batch : batches_) sum += batch->running();
  return sum;
}

size_t Workload::workers() const {
  size_t sum = 0;
  for (const auto& batch : batches_) sum += batch->workers();
  return sum;
}

}  // namespace ktstr::guest
