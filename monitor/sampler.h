// One sample of an attached kernel: runs all walkers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "monitor/guest_kernel.h"
#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

class Sampler {
 public:
  // `kernel` and `clock` outlive it. Every `full_every`-th sample is full (see MonitorSample.full).
  Sampler(const GuestKernel& kernel, const Clock& clock, uint64_t full_every = 10)
      : kernel_(kernel), clock_(clock), full_every_(full_every ? full_every : 1), programs_(kernel) {}

  // Takes one sample. Errors: run queues were not readable. Other parts that fail are left out and counted.
  Status read();
  // The last sample, as read and as it is published. REQUIRES: read() succeeded last.
  const Reading& reading() const { return reading_; }
  MonitorSampleT sample() const;

  // Samples that lacked a part, by the part's name.
  const std::map<std::string, uint64_t>& parts_failed() const { return parts_failed_; }
  // The last that was seen of each program (by id) and domain (by CPU, then level).
  std::vector<std::unique_ptr<ProgramSampleT>> last_programs() const;
  std::vector<std::unique_ptr<DomainSampleT>> last_domains() const;

 private:
  Status fill();
  bool fill_scheduler(ScxRoot root);
  void fill_full();
  void remember();

  const GuestKernel& kernel_;
  const Clock& clock_;
  uint64_t full_every_;
  ProgramWalker programs_;
  Reading reading_;
  std::vector<uint16_t> online_;
  uint64_t taken_ = 0;
  uint64_t cost_ns_ = 0;
  ScxRoot last_root_;
  uint32_t last_state_ = UINT32_MAX;
  std::map<std::string, uint64_t> parts_failed_;
  std::map<uint32_t, ProgramSampleT> last_programs_;
  std::vector<DomainSampleT> last_domains_;
};

}  // namespace ktstr
