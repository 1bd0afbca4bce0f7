// What ktstr-probe does in the VM: it places the kernel probes; while the scheduler waits at its attach, it records and probes
// its programs and lets it go on; at the end it reports the hits. A scheduler that could not be held at its attach is looked
// for once it is enabled. Init's attach gate receives the notifications (guest/init/attach_gate.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "guest/probe/event_out.h"
#include "guest/probe/probe_set.h"
#include "guest/probe/struct_ops.h"
#include "schemas/plan_generated.h"

namespace ktstr::probe {

class ProbeSession {
 public:
  ProbeSession(GuestPlanT plan, EventOut out, UniqueFd control);

  // Ends only when init is gone. Returns the exit code.
  int run();

 private:
  void place_kernel_probes();
  bool on_control();  // false: init is gone
  void on_attach(const AttachCall& call);
  bool on_registration(std::vector<HeldProgram> programs);  // false: all of them were known
  void send_report();
  void finish();
  void say(char letter);

  GuestPlanT plan_;
  EventOut out_;
  UniqueFd control_;
  UniqueFd listener_;
  OpsLayout layout_;
  std::unique_ptr<ProbeSet> probes_;
  std::string load_error_;
  std::vector<HeldProgram> held_;  // for life
  std::vector<uint32_t> sent_btfs_;
  uint64_t attach_ns_ = 0, hold_ns_ = 0;
  bool reported_ = false, finished_ = false;
};

}  // namespace ktstr::probe
