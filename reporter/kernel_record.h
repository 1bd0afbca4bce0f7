// What the kernel of one VM said about trouble of its own (KernelFault), and whether it counts for the verdict.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reporter/monitor_summary.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"

namespace ktstr {

class RunModel;
struct TestSpecT;

struct KernelMessage {
  KernelFaultT fault;
  bool from_scheduler_start = false;  // printed after the scheduler's process was started
  bool from_workload_start = false;
};

struct KernelRecord {
  // `stage`: the VM's, this event included.
  void fold(const EventBuffer& event, Stage stage);

  std::vector<KernelMessage> messages;  // in the order of their first lines; at most kMax
  uint64_t left_out = 0;
  static constexpr size_t kMax = 64;

 private:
  uint64_t scheduler_ns_ = 0, workload_ns_ = 0;  // guest's clock at these stages; 0: not yet
};

// What the host gave to the threads of a VM's CPUs, all together, as far as the monitor measured; 0 and 0: nobody did.
struct VcpuTime {
  uint64_t ran_ns = 0, waited_ns = 0;  // on a host CPU; for one
  bool mostly_ran() const { return ran_ns > 0 && waited_ns < ran_ns; }
  bool mostly_waited() const { return waited_ns > 0 && waited_ns >= ran_ns; }
};
VcpuTime vcpu_time(const std::map<unsigned, VcpuUse>& threads);

// "kernel warning (not fatal): scx_cgroup_move_task": one sentence.
std::string kernel_message_words(const KernelFaultT& fault);

// Messages of the primary VM, apart from the one that is the run's crash.
struct KernelVerdict {
  std::vector<std::string> counts;   // they fail the test
  std::vector<std::string> unknown;  // they measure time, and the guest may not have had its CPUs
  std::vector<std::string> noted;    // earlier ones, allowed ones, the emulator's
};
KernelVerdict judge_kernel_messages(const RunModel& model);

}  // namespace ktstr
