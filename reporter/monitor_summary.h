// The monitor's samples folded into what `--- monitor ---` says. Constant memory per CPU, domain and counter.
//
// Averages and maxima are taken over samples in which a sched_ext scheduler is enabled (over all samples when
// the test runs the kernel's own scheduler). Thresholds look at the workload alone, in ticks of 100 ms
// whatever the sampling rate, so that "sustained over 5 samples" means half a second.
//
// Exempt from thresholds: idle CPUs (their clocks do not advance), CPUs that the host did not run (their vCPU thread
// waited, or the guest's clock hardly moved), memory that is not initialised or makes no sense, and, in the
// imbalance, tasks that wait in a DSQ which CPUs share while none of them is idle: the kernel counts such a
// task on the CPU that it was last on, but the next free CPU takes it. DSQs are shared when there are fewer
// of them than CPUs. dispatch_keep_last is judged only while tasks wait. Calls of sched_yield are subtracted: a task that
// yields and stays on the CPU asked for it. A CPU with a single runnable task is left out: the kernel counts it once a
// slice, and the CPU may have nothing else to run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "schemas/monitor_generated.h"

namespace ktstr {

struct TestSpecT;

// What the test's spec allows. A threshold of 0 is switched off.
struct MonitorThresholds {
  double imbalance = 0;       // most loaded CPU's nr_running over the least loaded's (at least 1)
  uint32_t local_dsq = 0;     // tasks on one local DSQ
  bool stuck = false;         // a busy CPU's run queue clock did not advance
  double fallback_rate = 0;   // select_cpu_fallback per second
  double keep_last_rate = 0;  // dispatch_keep_last per second and CPU, see above
  unsigned sustained = 0;     // ticks in a row; 0: nothing is checked
  bool enforce = false;       // a violation fails the test
  uint64_t tick_ns = 100'000'000;

  static MonitorThresholds of(const TestSpecT& spec);
  bool any() const {
    return sustained > 0 &&
           (imbalance > 0 || local_dsq > 0 || stuck || fallback_rate > 0 || keep_last_rate > 0);
  }
};

// One condition: how long it held.
struct Sustained {
  unsigned run = 0;  // ticks in a row, now
  unsigned longest = 0;
  double worst = 0;
  void tick(bool violated, double value);
};

struct LoadAverage {  // over some span of samples
  uint64_t samples = 0;
  double imbalance_sum = 0, imbalance_max = 0;
  double nr_running_sum = 0;  // per CPU
  double dsq_sum = 0;         // local DSQ depth per CPU
  uint32_t dsq_max = 0;
  double mean(double sum) const { return samples ? sum / static_cast<double>(samples) : 0; }
};

struct CounterTrack {
  int64_t first = 0, last = 0;
  int64_t carried = 0;  // from before a reset (a new scheduler instance counts from 0)
  int64_t delta() const { return carried + last - first; }  // since the first look
  int64_t total() const { return carried + last; }          // since the counter began
  void see(int64_t value, bool is_new);
};

struct ProgramUse {
  std::string name;
  uint32_t verified_insns = 0, jited_bytes = 0;
  uint64_t run_count = 0, run_ns = 0, misses = 0;
};

struct DomainUse {
  std::string span;                              // of the first CPU's domain that has one
  std::map<std::string, CounterTrack> counters;  // totals, summed over CPUs
  std::map<std::string, int64_t> gauges;  // values that are no totals: the greatest CPU's, as last seen
};

struct VcpuUse {
  std::string name;
  uint64_t run_first = 0, run_last = 0, wait_first = 0, wait_last = 0;
};

class MonitorSummary {
 public:
  // `scx`: the test runs a sched_ext scheduler.
  void expect_scx(bool scx) { scx_ = scx; }
  void set_thresholds(const MonitorThresholds& thresholds) { thresholds_ = thresholds; }
  // Returns the sample's load when it counts (see above), to add it to a phase as well.
  struct Load {
    double imbalance, nr_running, dsq;
    uint32_t dsq_max;
  };
  // `in_workload`: thresholds apply.
  std::optional<Load> fold(const MonitorSample& sample, uint64_t host_ns, bool in_workload = true);
  // Programs and domains as MonitorStopped reports them.
  void fold(const MonitorStopped& stopped, uint64_t host_ns);
  static void add(LoadAverage& average, const Load& load);

  uint64_t samples() const { return samples_; }
  size_t cpus() const { return cpus_; }  // the most that a sample had
  const LoadAverage& load() const { return load_; }
  double seconds() const;  // from the first counted sample to the last
  uint64_t cost_mean_ns() const { return samples_ ? cost_ns_ / samples_ : 0; }

  const std::map<std::string, CounterTrack>& counters() const { return counters_; }
  double rate(const CounterTrack& track) const;
  using DomainKey = std::pair<unsigned, std::string>;  // level, name
  const std::map<DomainKey, DomainUse>& domains() const { return domains_; }
  double domain_seconds() const;  // between the first and the last look at domains and schedstats
  // /proc/schedstat's fields, summed over CPUs; empty when the kernel keeps none. Fewer than 2 looks give no
  // delta.
  uint64_t schedstat_looks() const { return schedstat_looks_; }
  const std::map<std::string, CounterTrack>& schedstats() const { return schedstats_; }
  const std::map<uint32_t, ProgramUse>& programs() const { return programs_; }
  using DsqKey = std::tuple<DsqKind, uint64_t, unsigned>;           // kind, id, place
  const std::map<DsqKey, uint32_t>& dsqs() const { return dsqs_; }  // the greatest depth seen
  const std::map<unsigned, VcpuUse>& vcpus() const { return vcpus_; }
  // The same from the first sample on, the boot included.
  const std::map<unsigned, VcpuUse>& threads_of_run() const { return threads_of_run_; }

  struct MapUse {
    std::string name;
    uint32_t type = 0, key_bytes = 0, value_bytes = 0, entries = 0;
  };
  const std::map<uint32_t, MapUse>& maps() const { return maps_; }  // by id

  const MonitorThresholds& thresholds() const { return thresholds_; }
  const Sustained& imbalance() const { return imbalance_; }
  const Sustained& local_dsq() const { return local_dsq_; }
  const Sustained& fallback() const { return fallback_; }
  const Sustained& keep_last() const { return keep_last_; }
  const Sustained& stuck() const { return stuck_; }
  int stuck_cpu() const { return stuck_cpu_; }
  uint64_t ticks() const { return ticks_; }
  // Ticks that said nothing: the host did not run the guest.
  uint64_t exempt_ticks() const { return exempt_ticks_; }
  uint64_t senseless_samples() const { return senseless_; }
  bool sustained(const Sustained& s) const {
    return thresholds_.sustained > 0 && s.longest >= thresholds_.sustained;
  }
  bool any_sustained() const;

 private:
  void fold_counters(const MonitorSample& sample);
  void fold_domains(const flatbuffers::Vector<flatbuffers::Offset<DomainSample>>* domains, uint64_t host_ns);
  void fold_schedstats(const MonitorSample& sample);
  void fold_programs(const flatbuffers::Vector<flatbuffers::Offset<ProgramSample>>* programs);
  void fold_maps(const MonitorSample& sample);
  void fold_queues(const MonitorSample& sample);
  static void fold_threads(const MonitorSample& sample, std::map<unsigned, VcpuUse>& into);
  static bool tasks_wait(const MonitorSample& sample);
  static int64_t yields(const MonitorSample& sample);
  static unsigned lone_cpus(const MonitorSample& sample);
  static double bound_imbalance(const MonitorSample& sample);
  void tick(const MonitorSample& sample, const Load& load, uint64_t host_ns);
  void stuck_tick(const MonitorSample& sample, uint64_t elapsed, bool first);
  // Of the thread that runs a vCPU, since the last tick.
  struct HostShare {
    uint64_t run_ns = 0, wait_ns = 0;
    bool known = false;
  };
  HostShare host_share(const MonitorSample& sample, unsigned cpu) const;
  uint64_t busiest_thread_ns(const MonitorSample& sample) const;
  void remember_threads(const MonitorSample& sample);

  MonitorThresholds thresholds_;
  bool scx_ = true;
  uint64_t samples_ = 0, cost_ns_ = 0;
  size_t cpus_ = 0;
  uint64_t first_ns_ = 0, last_ns_ = 0;
  bool any_ = false;
  LoadAverage load_;
  std::map<std::string, CounterTrack> counters_;
  std::map<DomainKey, DomainUse> domains_;
  uint64_t domains_first_ns_ = 0, domains_last_ns_ = 0;
  std::map<std::string, CounterTrack> schedstats_;
  uint64_t schedstat_looks_ = 0;
  std::map<uint32_t, ProgramUse> programs_;
  std::map<DsqKey, uint32_t> dsqs_;
  std::map<unsigned, VcpuUse> vcpus_, threads_of_run_;

  Sustained imbalance_, local_dsq_, fallback_, keep_last_, stuck_;
  struct CpuWatch {
    unsigned stuck = 0;     // ticks in a row
    uint64_t ran_ns = 0;    // of the vCPU's thread, since the clock moved
    uint64_t rq_clock = 0;  // at the last tick
  };
  std::vector<CpuWatch> watch_;
  std::map<unsigned, HostShare> threads_;  // totals at the last tick, by thread id
  int stuck_cpu_ = -1;
  bool shared_thread_ = false;  // one host thread runs all vCPUs
  uint64_t last_tick_ns_ = 0, last_tick_clock_ = 0;
  int64_t tick_fallback_ = 0, tick_keep_last_ = 0, tick_yields_ = 0;
  uint64_t ticks_ = 0, exempt_ticks_ = 0, senseless_ = 0;
  std::map<uint32_t, MapUse> maps_;
};

}  // namespace ktstr
