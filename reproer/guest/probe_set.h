// The probes of this VM: loaded once, attached once, never detached (detaching is slow, and patches kernel
// text).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/probe_abi.h"
#include "reproer/guest/program_facts.h"
#include "runtime/result.h"
#include "runtime/unique_fd.h"
#include "schemas/event_generated.h"

struct bpf_object;
struct bpf_link;
struct bpf_program;

namespace ktstr::probe {

// The rings as they stand, oldest hit first.
struct Capture {
  std::vector<ktstr_hit> hits;      // rings and tail, by time
  std::vector<ktstr_hit> subjects;  // last hit of each target about each task; empty unless asked for
  ktstr_state state{};
  uint64_t taken = 0;        // hits in all
  uint64_t overwritten = 0;  // of them no longer in a ring
  uint64_t missed = 0;       // not taken: the kernel skipped a nested probe
  uint64_t cost_ns = 0;      // per hit, where the kernel counted
};

class ProbeSet {
 public:
  // Loads the BPF object with the plan's targets. kUnsupported with the verifier's last words when refused.
  static Result<std::unique_ptr<ProbeSet>> load(const ProbePlanT& plan);
  ~ProbeSet();

  // kprobe.multi on the plan's kernel functions (one by one where multi is refused), then the trigger.
  void attach_kernel();
  // fentry (and fexit) on those functions of a program that the plan wants.
  void attach_program(int prog_fd, const ProgramFacts& facts);
  // Targets that never showed up are named as failed; what was attached, what not, and the trigger.
  ProbeAttachedT report() const;
  // Freezes the rings if the trigger did not, and reads them.
  Capture capture();

 private:
  explicit ProbeSet(const ProbePlanT& plan) : plan_(plan) {}
  Status open(bool with_event_trigger);
  Status write_targets();
  void attach_single(const ProbeTargetT& target);
  void attach_trigger();
  Status attach_clone(const char* model, bool exit, int prog_fd, uint32_t btf_id, uint32_t target);
  void fail(uint32_t target, std::string reason);
  int map_fd(const char* name) const;

  const ProbePlanT& plan_;
  bpf_object* object_ = nullptr;
  std::vector<bpf_link*> links_;
  std::vector<int> clones_;        // program fds
  std::vector<uint8_t> attached_;  // per target
  std::vector<std::string> failed_;
  std::string trigger_;
  uint32_t cpus_ = 1, slots_ = 1;
  UniqueFd stats_;        // run time statistics stay on while it is open
  UniqueFd model_types_;  // BTF of the probe object
};

}  // namespace ktstr::probe
