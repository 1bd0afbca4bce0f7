// Makes the repro VM's probe plan from the crash chain: one target for each function, with signature, arguments and
// the fields behind them. No I/O.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bpf/btf_view.h"
#include "bpf/kernel_sources.h"
#include "reproer/chain.h"
#include "schemas/guest_generated.h"
#include "schemas/probe_generated.h"

namespace ktstr {

using ProgramTypes = std::map<uint32_t, BtfView>;  // by BTF id, of one VM

struct PlanInputs {
  const BtfView* kernel = nullptr;  // null: unknown; kernel functions are then probed without arguments
  const std::vector<BpfProgramT>* programs = nullptr;
  const ProgramTypes* types = nullptr;
  // The source place of a kernel function; empty where unknown. May be null.
  std::function<SourcePlace(const std::string& function, uint32_t offset)> kernel_source;
  unsigned cpus = 1;
  uint32_t attempt = 1;
  uint32_t history = 1;
  ReproProbes probes = ReproProbes::Unstated;  // as the test asks; Unstated: chosen by what the crash needs
  bool process_died = false;  // without a word from the kernel: an orderly exit is a trigger then
  bool kernel_fault = false;  // the primary VM's kernel oopsed or panicked: that is a trigger, too
};

ProbePlanT plan_probes(const CrashChain& chain, const PlanInputs& inputs);

// What is taken when the test does not say it: light when the kernel's backtrace gives the chain, so that the chain's
// functions are all that the report shows.
ReproProbes probes_needed(const CrashChain& chain);

// Prototype of a struct_ops callback, named `function`: the program's own BTF only knows that it gets one
// pointer. kNotFound when the kernel has no such member.
Result<BtfFunction> callback_prototype(const BtfView& kernel, const std::string& member,
                                       const std::string& function);

// Kernel functions that end a scheduler, best trigger first: "NAME#N", N the argument that is the exit kind.
std::vector<std::string> trigger_ladder(const BtfView* kernel);

}  // namespace ktstr
