// One run in the VM, from the mounts to power-off: what PID 1 does, in order.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "guest/init/core_catcher.h"
#include "guest/init/dump_tracer.h"
#include "guest/init/event_channel.h"
#include "guest/init/guest_commands.h"
#include "guest/init/handover.h"
#include "guest/init/host_gate.h"
#include "guest/init/probe_link.h"
#include "guest/init/scenario.h"
#include "guest/init/sched_ext_state.h"
#include "guest/init/scheduler_process.h"
#include "guest/init/shell.h"
#include "guest/init/vcpu_switcher.h"
#include "schemas/plan_generated.h"

namespace ktstr::guest {

class GuestRun {
 public:
  GuestRun(EventLoop& loop, EventChannel& channel);
  ~GuestRun();

  // Prepares what every test needs, says hello, waits for the plan and the files of this one (unless the initramfs holds
  // them), carries it out, tears down, and says GuestFinished with everything drained.
  // Returns when only power-off is left to do. Never fails: what goes wrong is said as GuestFailed.
  void run(std::vector<std::string> boot_notes);

 private:
  enum class Attach { kAttached, kFailed, kNoScheduler };

  void say_hello();
  Status take_plan();
  Status read_plan();
  void wake();
  void watch_children();
  void watch_host();
  void reap();
  void prepare();
  Attach attach();
  Status wait_attached(uint64_t started_ns);
  void run_shell();
  void run_workload();
  std::function<void()> start_pause();
  void settle();
  void state_own_view();
  void end_scheduler();
  void end_probe();
  void finish();

  void look_at_state();
  void note_restart();
  bool gone_for_good();
  void note_attached(uint64_t started_ns);
  void scheduler_ended();

  void stage(Stage stage, std::string detail = {});
  void fail(Stage stage, std::string error, int fork_error = 0);
  void phase(const char* name);
  void note(const std::string& text);
  uint64_t scaled(uint64_t ns) const;

  EventLoop& loop_;
  EventChannel& channel_;
  std::unique_ptr<GuestPlanT> plan_;
  SchedExtState sched_ext_;
  DumpTracer tracer_;
  ProbeLink probe_;
  SchedulerProcess scheduler_;
  CoreCatcher cores_;
  GuestCommands commands_;
  Handover handover_;
  std::vector<std::string> boot_notes_;  // what went wrong in what every test needs
  bool host_gone_ = false;
  HostGate gate_;  // open in a deterministic VM
  VcpuSwitcher switcher_;
  std::unique_ptr<Scenario> scenario_;
  std::unique_ptr<GuestShell> shell_;  // instead of a scenario
  UniqueFd child_signals_;

  uint64_t seq_before_ = 0;   // enable_seq before the scheduler started
  uint64_t enabled_seq_ = 0;  // of the scheduler whose programs were looked for last
  bool attached_ = false;     // was enabled under our scheduler
  bool detached_ = false;     // and is not any more, for now
  uint64_t detached_ns_ = 0;  // since when
  uint32_t restarts_ = 0;     // how often it came back
  bool exit_told_ = false;
  std::string last_state_;
  std::string ops_name_;
  uint32_t phases_ = 0;
  bool failed_ = false;
};

}  // namespace ktstr::guest
