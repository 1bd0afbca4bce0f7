// The probes of this VM: loaded once, attached once, never detached (detaching is slow, and patches kernel
// text).
#pragma once

#include <linux/bpf.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "bpf/read_plan.h"
#include "guest/probe/probe_object.h"
#include "guest/probe/program_facts.h"
#include "guest/probe/traceable.h"
#include "schemas/repro_generated.h"

struct bpf_link;

namespace ktstr::probe {

// Of the guest: for TraceableNames::load().
std::string traceable_list();

class ProbeSet {
 public:
  // Loads the BPF object with the plan's targets. kUnsupported with the verifier's last lines when rejected.
  static Result<std::unique_ptr<ProbeSet>> load(const ProbePlanT& plan);

  // kprobe.multi and kretprobe.multi on the plan's kernel functions (one by one where multi is refused), then
  // the trigger.
  void attach_kernel(TraceableNames& names);
  // fentry (and fexit) on those functions of a program that the plan wants.
  void attach_program(int prog_fd, const ProgramFacts& facts);
  // Targets that never showed up are named as failed; what was attached, what not, and the trigger.
  ProbeAttachedT report() const;
  // Freezes the rings if the trigger did not, and reads them.
  Capture capture() { return object_.capture(clones_); }

 private:
  explicit ProbeSet(const ProbePlanT& plan) : plan_(plan), object_(plan) {}
  std::vector<bpf_insn> reads_of(std::vector<uint32_t> targets) const;
  int multi_program(const char* name, const std::vector<uint64_t>& cookies);
  bool attach_multi(const char* program, const std::vector<const char*>& symbols,
                    const std::vector<uint64_t>& cookies, bool returns);
  void attach_functions(const std::vector<const char*>& symbols, const std::vector<uint64_t>& cookies);
  void attach_single(const ProbeTargetT& target);
  void attach_trigger();
  void attach_fault_triggers();
  void fail(uint32_t target, std::string reason);

  const ProbePlanT& plan_;
  ProbeObject object_;
  ProbeObject::Parts parts_;
  std::vector<bpf_link*> links_;
  std::vector<int> clones_;        // program fds
  std::vector<uint8_t> attached_;  // per target
  std::vector<std::string> failed_;
  std::string trigger_;
  std::vector<ReadPlan> read_plans_;
  bool direct_ = false;  // the kernel takes direct_reads(), as far as is known
};

}  // namespace ktstr::probe
