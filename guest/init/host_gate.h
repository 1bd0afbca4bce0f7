// The gate of a deterministic VM: init tells its clock and stands still, with the whole guest, until the monitor has read the
// guest's memory (schemas/gate_ports.h). No time passes in the guest meanwhile.
#pragma once

#include "schemas/common_generated.h"

namespace ktstr::guest {

class HostGate {
 public:
  // Only in a deterministic VM. False: no right to the ports.
  bool open();
  // Nothing happens unless opened.
  void pass();
  void pass(Stage stage) {
    stage_ = stage > stage_ ? stage : stage_;
    pass();
  }

 private:
  bool open_ = false;
  Stage stage_ = Stage::NotStarted;
};

}  // namespace ktstr::guest
