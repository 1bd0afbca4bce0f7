// The watch over one VM: attach (again and again, until its kernel is up), sample, stop. Knows no bus and no
// timer: it is told when, and answers with facts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "monitor/death_watch.h"
#include "monitor/guest_kernel.h"
#include "monitor/ram_writer.h"
#include "monitor/sampler.h"
#include "monitor/vm_hold.h"
#include "monitor/watchdog_setter.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// The system, injected.
struct MonitorSeam {
  const Clock* clock = nullptr;
  std::function<Result<std::unique_ptr<RamFile>>(const std::string& path)> open_ram;
  // vCPU threads of a QEMU, empty when they cannot be read.
  std::function<std::vector<VcpuThreadT>(uint32_t qemu_pid)> vcpu_threads;
  // Absent: the VM is never held, nothing is written.
  std::function<Result<std::unique_ptr<VmHold>>(const std::string& qmp_path)> open_hold;
  std::function<Result<std::unique_ptr<RamWriter>>(const std::string& path)> open_writer;
};

class MonitorSession {
 public:
  struct Options {
    uint64_t period_ns = 100'000'000;
    uint64_t first_retry_ns = 200'000'000;  // between attempts to attach; doubles after each costly one
    uint64_t last_retry_ns = 2'000'000'000;
    // What the test's spec asks for.
    std::vector<MapWriteT> writes;
    uint64_t watchdog_timeout_ns = 0;  // 0: the scheduler's own
  };
  // What a tick or the end of the VM brought. At most one of each.
  struct Facts {
    std::optional<MonitorAttachedT> attached;
    std::optional<MonitorSampleT> sample;
    std::optional<MonitorUnavailableT> unavailable;
    std::optional<MonitorStoppedT> stopped;
    std::optional<GuestFrozenT> frozen;  // at the exit (from watch), or early (from tick)
    std::optional<WatchdogSetT> watchdog;
    std::vector<MapWrittenT> written;
  };

  // `layouts` is shared by the sessions of a run, `seam` outlives it.
  MonitorSession(const VmStarted& vm, const MonitorSeam& seam, LayoutCache& layouts, Options options);

  // Called once a period.
  Facts tick();
  // Called between ticks, about once a millisecond: the scheduler's death, writes that are due. Some reads of
  // guest memory, unless there is something to do; at an exit the VM is paused meanwhile.
  Facts watch();
  // All queues as they are now, for who asked. REQUIRES: the VM stands still.
  Facts observe();
  // The guest says so.
  void workload_started();
  void scheduler_started(int pid) { scheduler_pid_ = pid; }
  void workload_finished() { workload_over_ = true; }
  // The VM is gone (or the run ends): MonitorStopped, and MonitorUnavailable before it when it never
  // attached.
  Facts stop(const std::string& reason);

 private:
  void try_attach(Facts& facts);
  void prepare();
  void freeze(const Death& death, Facts& facts);
  GuestFrozenT freeze(const std::string& reason);
  void watch_waits(Facts& facts);
  void write_due(Facts& facts);
  void fail_writes(const std::string& why, Facts& facts);

  const MonitorSeam& seam_;
  LayoutCache& layouts_;
  Options options_;
  std::string ram_path_, qmp_path_;
  RamLayout ram_layout_;
  uint32_t qemu_pid_;
  uint64_t started_ns_;

  std::unique_ptr<RamFile> ram_;
  std::unique_ptr<GuestKernel> kernel_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<DeathWatch> death_;
  std::unique_ptr<VmHold> hold_;
  std::unique_ptr<RamWriter> writer_;
  std::unique_ptr<WatchdogSetter> watchdog_;
  std::string hold_error_, writer_error_;
  uint64_t workload_start_ns_ = 0;  // 0: not yet
  bool workload_over_ = false;
  int scheduler_pid_ = 0;  // 0: not told
  std::string last_error_;
  uint64_t retry_ns_;
  uint64_t next_try_ns_ = 0;
  uint64_t samples_ = 0;
  uint64_t failed_ = 0;
  uint64_t early_wait_ns_ = 0;  // of the last early freeze
  unsigned early_freezes_ = 0;
  std::vector<bool> written_;  // one for each of options_.writes
};

}  // namespace ktstr
