#include "monitor/sampler.h"

#include <algorithm>

#include "schemas/clone.h"

namespace ktstr {
namespace {

constexpr int kTries = 3;

}  // namespace

Result<MonitorSampleT> Sampler::sample() {
  const uint64_t begin = clock_.monotonic_ns();
  MonitorSampleT sample;
  if (Status status = fill(sample); !status) return std::move(status).error();
  sample.cost_ns = clock_.monotonic_ns() - begin;
  sample.index = index_++;
  return sample;
}

Status Sampler::fill(MonitorSampleT& sample) {
  kernel_.refresh();
  const std::vector<bool> online = kernel_.online();
  const auto root = read_scx_root(kernel_);
  sample.state = read_scx_state(kernel_);
  sample.full = index_ % std::max<uint64_t>(full_every_, 1) == 0 || (root && *root != last_root_) ||
                sample.state != last_state_;

  for (uint32_t cpu = 0; cpu < online.size(); ++cpu) {
    if (!online[cpu]) continue;
    auto one = read_run_queue(kernel_, cpu, sample.full);
    if (!one) return Error::invalid("run queue of CPU " + std::to_string(cpu) + " is not readable");
    sample.guest_clock_ns = std::max(sample.guest_clock_ns, one->rq_clock);
    sample.cpus.push_back(std::make_unique<CpuSampleT>(std::move(*one)));
  }
  if (sample.cpus.empty()) return Error::invalid("no CPU is online");

  if (!fill_scx(sample, online)) ++parts_failed_["scheduler"];
  if (sample.full) fill_full(sample, online);
  last_state_ = sample.state;
  if (root) last_root_ = *root;
  return {};
}

// The root may be replaced while it is read: what was read counts only when it is still the same one afterwards.
bool Sampler::fill_scx(MonitorSampleT& sample, const std::vector<bool>& online) {
  bool dsqs_failed = false;
  for (int i = 0; i < kTries; ++i) {
    sample.counters.clear();
    sample.dsqs.clear();
    sample.ops_name.clear();
    sample.exit_kind = 0;
    const auto before = read_scx_root(kernel_);
    if (!before) continue;
    sample.enable_seq = before->enable_seq;
    sample.scx_enabled = sample.state.empty() ? before->address != 0 : sample.state == "enabled";
    if (before->address == 0) return true;
    const bool read = read_scx_root_facts(kernel_, *before, sample);
    dsqs_failed = !read_dsqs(kernel_, *before, online, sample.dsqs);
    if (dsqs_failed) sample.dsqs.clear();
    if (read && read_scx_root(kernel_) == before) {
      if (dsqs_failed) ++parts_failed_["dispatch queues"];
      return true;
    }
  }
  sample.counters.clear();
  sample.dsqs.clear();
  return false;
}

void Sampler::fill_full(MonitorSampleT& sample, const std::vector<bool>& online) {
  for (uint32_t cpu = 0; cpu < online.size(); ++cpu) {
    if (!online[cpu] || read_domains(kernel_, cpu, sample.domains)) continue;
    sample.domains.clear();
    ++parts_failed_["domains"];
    break;
  }
  if (!programs_.read(sample.programs, sample.maps)) {
    sample.programs.clear();
    sample.maps.clear();
    ++parts_failed_["programs"];
  }
  if (!sample.domains.empty()) {
    last_domains_.clear();
    for (const auto& domain : sample.domains) last_domains_.push_back(clone_native(*domain));
  }
  for (const auto& program : sample.programs) {
    if (last_programs_.size() < kMaxPrograms || last_programs_.contains(program->id)) {
      last_programs_.insert_or_assign(program->id, *program);
    }
  }
}

std::vector<std::unique_ptr<ProgramSampleT>> Sampler::last_programs() const {
  std::vector<std::unique_ptr<ProgramSampleT>> out;
  for (const auto& [id, program] : last_programs_) out.push_back(std::make_unique<ProgramSampleT>(program));
  return out;
}

std::vector<std::unique_ptr<DomainSampleT>> Sampler::last_domains() const {
  std::vector<std::unique_ptr<DomainSampleT>> out;
  for (const DomainSampleT& domain : last_domains_) {
    out.push_back(std::make_unique<DomainSampleT>(clone_native(domain)));
  }
  return out;
}

}  // namespace ktstr
