#include "monitor/sampler.h"

#include <algorithm>

#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr int kTries = 3;

}  // namespace

Status Sampler::read() {
  const uint64_t begin = clock_.monotonic_ns();
  reading_.clear();
  Status status = fill();
  cost_ns_ = clock_.monotonic_ns() - begin;
  if (!status) return status;
  ++taken_;
  if (reading_.full) remember();
  return status;
}

MonitorSampleT Sampler::sample() const {
  MonitorSampleT sample = to_event(reading_, kernel_.layout());
  sample.index = taken_ - 1;
  sample.cost_ns = cost_ns_;
  return sample;
}

Status Sampler::fill() {
  kernel_.refresh();
  kernel_.read_online(online_);
  if (online_.empty()) return Error::invalid("no CPU is online");
  const auto root = read_scx_root(kernel_);
  reading_.state = read_scx_state(kernel_);
  reading_.full = taken_ % full_every_ == 0 || (root && *root != last_root_) || reading_.state != last_state_;

  reading_.jiffies = read_jiffies(kernel_);
  for (const uint16_t cpu : online_) {
    if (!read_run_queue(kernel_, cpu, reading_)) {
      return Error::invalid("run queue of CPU " + std::to_string(cpu) + " is not readable");
    }
  }
  if (!root || !fill_scheduler(*root)) ++parts_failed_["scheduler"];
  if (reading_.full) fill_full();
  last_state_ = reading_.state;
  if (root) last_root_ = *root;
  return {};
}

// The root may be replaced while it is read: what was read counts only when it is still the same one
// afterwards.
bool Sampler::fill_scheduler(ScxRoot root) {
  for (int i = 0; i < kTries; ++i) {
    reading_.root = root.address;
    reading_.enable_seq = root.enable_seq;
    if (root.address == 0) return true;
    const bool facts = read_scx_facts(kernel_, root, reading_);
    const bool dsqs = facts && read_dsqs(kernel_, root, reading_);
    const auto after = read_scx_root(kernel_);
    if (!after) break;
    if (facts && root == *after) {
      if (!dsqs) {
        reading_.dsqs.clear();
        ++parts_failed_["dispatch queues"];
      }
      return true;
    }
    reading_.clear_scheduler();
    root = *after;
  }
  reading_.clear_scheduler();
  return false;
}

void Sampler::fill_full() {
  for (const uint16_t cpu : online_) {
    if (read_domains(kernel_, cpu, reading_)) continue;
    reading_.clear_domains();
    ++parts_failed_["domains"];
    break;
  }
  if (!programs_.read(reading_)) {
    reading_.programs.clear();
    reading_.cpu_runs.clear();
    ++parts_failed_["programs"];
  }
}

void Sampler::remember() {
  if (!reading_.domains.empty()) {
    last_domains_.clear();
    for (const DomainReading& domain : reading_.domains) {
      last_domains_.push_back(to_event(reading_, domain, kernel_.layout().domain));
    }
  }
  for (const ProgramReading& program : reading_.programs) {
    if (last_programs_.size() < kMaxPrograms || last_programs_.contains(program.facts->id)) {
      last_programs_.insert_or_assign(program.facts->id, to_event(reading_, program));
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
    out.push_back(std::make_unique<DomainSampleT>(domain));
  }
  return out;
}

}  // namespace ktstr
