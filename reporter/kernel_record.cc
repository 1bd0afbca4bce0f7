#include "reporter/kernel_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "explain/explanation.h"
#include "reporter/run_model.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/unpack.h"
#include "scx/kernel_fault_parser.h"

namespace ktstr {
namespace {

// The run's crash is told by itself.
bool is_the_crash(const KernelFaultT& fault, const VmRecord& vm) {
  const auto& crash = vm.scheduler.crash;
  const auto kind = crash_kind(fault.kind);
  return crash && kind && *kind == crash->kind && fault.task_pid == crash->task_pid;
}

bool allowed(const KernelFaultT& fault, const TestSpecT& spec) {
  return std::any_of(spec.allow_kernel_warnings.begin(), spec.allow_kernel_warnings.end(),
                     [&](const std::string& name) { return name == "*" || name == fault.function; });
}

}  // namespace

VcpuTime vcpu_time(const std::map<unsigned, VcpuUse>& threads) {
  VcpuTime out;
  for (const auto& [tid, use] : threads) {
    out.ran_ns += use.run_last - use.run_first;
    out.waited_ns += use.wait_last - use.wait_first;
  }
  return out;
}

void KernelRecord::fold(const EventBuffer& event, Stage stage) {
  const uint64_t guest_ns = event->stamp()->guest_ns();
  if (event.type() == Payload::StageReached) {
    if (stage >= Stage::SchedulerStarted && scheduler_ns_ == 0) scheduler_ns_ = guest_ns;
    if (stage >= Stage::WorkloadStarted && workload_ns_ == 0) workload_ns_ = guest_ns;
  }
  const auto* fault = event.as<KernelFault>();
  if (!fault) return;
  if (messages.size() == kMax) {
    ++left_out;
    return;
  }
  // By the guest's clock where the line has a stamp: the message is known only when its last line is.
  auto after = [&](uint64_t start_ns, Stage reached) {
    return guest_ns && start_ns ? guest_ns >= start_ns : stage >= reached;
  };
  messages.push_back({unpack<KernelFaultT>(*fault), after(scheduler_ns_, Stage::SchedulerStarted),
                      after(workload_ns_, Stage::WorkloadStarted)});
}

std::string kernel_message_words(const KernelFaultT& fault) {
  Incident incident;
  incident.kind = IncidentKind::kFault;
  incident.fault = fault;
  return explain(incident).summary;
}

KernelVerdict judge_kernel_messages(const RunModel& model) {
  KernelVerdict out;
  if (!model.started()) return out;
  const VmRecord& vm = model.primary();
  const TestSpecT& spec = model.spec();
  const std::string accelerator = model.run().accelerator ? model.run().accelerator->name : "";
  for (const KernelMessage& message : vm.kernel.messages) {
    const KernelFaultT& fault = message.fault;
    if (is_the_crash(fault, vm)) continue;
    const std::string words = kernel_message_words(fault);
    const bool counts = spec.scheduler ? message.from_scheduler_start : message.from_workload_start;
    if (!counts)
      out.noted.push_back(words + " (before the test)");
    else if (!emulator_artefact(fault, accelerator, vm.scheduler.crash.has_value()).empty())
      out.noted.push_back(words + " (looks like the emulator's doing)");
    else if (allowed(fault, spec))
      out.noted.push_back(words + " (allowed by the spec)");
    else if (fault.measures_time && !vcpu_time(vm.monitor.summary.vcpus()).mostly_ran())
      out.unknown.push_back(words +
                            " (it measures time, and the host did not run the guest's CPUs all the time)");
    else
      out.counts.push_back(words);
  }
  return out;
}

}  // namespace ktstr
