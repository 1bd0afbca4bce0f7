// What ktstr-probe does in the VM: once there is a plan, it places the kernel probes; while the scheduler waits at its attach, it records and probes
// its programs and lets it go on; at the end it reports the hits. A scheduler that could not be held at its attach is looked
// for once it is enabled. Init's attach gate receives the notifications (guest/init/attach_gate.h).
#pragma once

#include <memory>
#include <optional>
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
  struct Options {
    std::string plan_path;  // read when init says that it is there
    // Reads what is the same for every test before that: the guest becomes a template.
    bool for_template = false;
  };
  ProbeSession(Options options, UniqueFd events, UniqueFd control)
      : options_(std::move(options)), events_(std::move(events)), control_(std::move(control)) {}

  // Ends only when init is gone. Returns the exit code.
  int run();

 private:
  int begin();  // 0, or an exit code
  void place_kernel_probes();
  // Waits for a message of init's, or for the next look. False: init is gone.
  bool on_control();
  void look();
  void on_attach(const AttachCall& call);
  bool on_registration(std::vector<HeldProgram> programs);  // false: all of them were known
  void send_report();
  void finish();
  void say(char letter);

  Options options_;
  UniqueFd events_;
  UniqueFd control_;
  GuestPlanT plan_;
  std::optional<EventOut> out_;  // since begin()
  UniqueFd listener_;
  OpsLayout layout_;
  TraceableNames traceable_;
  std::unique_ptr<ProbeSet> probes_;
  std::string load_error_;
  std::vector<HeldProgram> held_;  // for life
  std::vector<uint32_t> sent_btfs_;
  uint64_t attach_ns_ = 0, hold_ns_ = 0;
  bool looking_ = false;  // for the programs of a scheduler that is enabled
  bool reported_ = false, finished_ = false;
};

}  // namespace ktstr::probe
