// What ktstr-probe does in the VM: it places the kernel probes, stops the scheduler at its attach, records and probes its
// programs, lets it go on, and at the end reports the hits. After that it only answers notifications: the filter stays on
// the scheduler's process, and unanswered calls would hang.
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
  bool on_control();       // false: init is gone
  bool on_notification();  // false: the scheduler is gone
  void on_registration(std::vector<HeldProgram> programs);
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
  bool by_link_ = false;  // a struct_ops map was registered by link
};

}  // namespace ktstr::probe
