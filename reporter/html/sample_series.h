// The monitor's samples of one VM as series over guest time, in at most `points` steps however long the run was.
//
// A step is a span of time of one width. When a sample lies beyond the last step, two steps become one and the width doubles, so
// that between half of `points` and all of them are in use. Depths keep the greatest value of their step, totals the last one.
// Memory: points x (CPUs + DSQs + counters), each of which is bounded. Named test: sample_series_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "schemas/monitor_generated.h"

namespace ktstr {

class SampleSeries {
 public:
  static constexpr size_t kMostCpus = 1024, kMostDsqs = 256, kMostCounters = 64;
  static constexpr int64_t kFirstWidthNs = 20'000'000;

  explicit SampleSeries(size_t points) : points_(points) {}
  void fold(const MonitorSample& sample, int64_t guest_ns);

  struct Cpu {
    uint16_t running = 0, local = 0;  // runnable tasks and depth of the local DSQ: the greatest
  };
  struct Step {
    uint32_t samples = 0;
    int64_t last_ns = 0;  // guest time of the last sample
    std::vector<Cpu> cpus;
    uint64_t running = 0;              // tasks runnable on all CPUs, summed over samples
    uint64_t idle = 0;                 // idle CPUs, summed over samples
    uint64_t wait_ns = 0;              // longest wait of a sched_ext task
    std::vector<uint32_t> dsqs;        // by dsqs(): the greatest depth
    std::vector<int64_t> counters;     // by counters(): totals at the last sample
    std::vector<uint64_t> schedstats;  // by kSchedstats: totals over all CPUs; empty: the kernel keeps none
  };
  static constexpr const char* kSchedstats[] = {"switches", "wakeups", "yields"};

  // From origin_ns() on, one step each width_ns(); steps without a sample have samples == 0.
  const std::vector<Step>& steps() const { return steps_; }
  int64_t origin_ns() const { return origin_; }
  int64_t width_ns() const { return width_; }
  size_t cpus() const { return cpus_; }
  using DsqKey = std::tuple<DsqKind, uint64_t, uint32_t>;  // kind, id, place
  const std::vector<DsqKey>& dsqs() const { return dsq_keys_; }
  uint64_t dsqs_left_out() const { return dsqs_left_out_; }  // insertions of DSQs above the bound
  const std::vector<std::string>& counters() const { return counter_names_; }

 private:
  static void join(Step& into, Step& later);
  Step& step_at(int64_t guest_ns);

  size_t points_;
  std::vector<Step> steps_;
  int64_t origin_ = 0, width_ = kFirstWidthNs;
  size_t cpus_ = 0;
  std::map<DsqKey, size_t> dsq_places_;
  std::vector<DsqKey> dsq_keys_;
  uint64_t dsqs_left_out_ = 0;
  std::map<std::string, size_t> counter_places_;
  std::vector<std::string> counter_names_;
};

}  // namespace ktstr
