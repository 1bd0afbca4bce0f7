// bpf/probe.bpf.c, loaded: its programs, its maps, and their content at the end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "bpf/hits.h"
#include "schemas/probe_generated.h"

struct bpf_object;
struct bpf_program;

namespace ktstr::probe {

class ProbeObject {
 public:
  // `plan` must outlive this.
  explicit ProbeObject(const ProbePlanT& plan) : plan_(plan) {}

  struct Parts {
    bool event_trigger = false;  // the kernel has the tracepoint
    bool singles = false;        // a probe each, where kprobe.multi is refused
  };
  // Loads the programs that the plan needs (each takes the verifier's time) and writes the plan's targets.
  // kUnsupported with the verifier's last lines when rejected. May be called again as long as nothing is
  // attached.
  Status load(const Parts& parts);

  bpf_program* program(const char* name) const;
  int types() const { return types_.get(); }  // fd of the object's BTF

  // Freezes the rings if the trigger did not, and reads them. `clones`: program fds that count as well.
  Capture capture(const std::vector<int>& clones);

 private:
  Status write_targets();
  int map_fd(const char* name) const;

  const ProbePlanT& plan_;
  bpf_object* object_ = nullptr;  // never closed: the VM ends with the probes in place
  UniqueFd types_;
  uint32_t cpus_ = 1, slots_ = 1;
};

}  // namespace ktstr::probe
