// The monitor's side of a deterministic VM's gate (launcher/deterministic/carriers.h): the guest says its clock and its stage
// and stands still at one instruction; what is read then is exact, and the same in every run of the seed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "monitor/vm_hold.h"
#include "schemas/common_generated.h"
#include "schemas/gate_ports.h"

namespace ktstr {

// Guest time, as it was told last: what a session measures by it takes no time.
class GuestClock : public Clock {
 public:
  void set(uint64_t ns) { ns_ = ns; }
  uint64_t monotonic_ns() const override { return ns_; }
  uint64_t realtime_ns() const override { return ns_; }

 private:
  uint64_t ns_ = 0;
};

// At the gate the VM already stands still.
class GateHold : public VmHold {
 public:
  Status hold() override { return {}; }
  Status release() override { return {}; }
};

class GateWatch {
 public:
  struct Bell {
    uint64_t guest_ns;
    Stage stage;  // the furthest that was reached
  };
  static Result<std::unique_ptr<GateWatch>> open(const std::string& gate_path);

  int fd() const { return bell_.get(); }  // readable: take()
  // Nothing: the message is not complete. Else the guest stands still until let_go().
  std::optional<Bell> take();
  void let_go();
  // Times that the gate was open although the guest should have waited: what was read then is not exact.
  uint64_t leaks() const { return leaks_; }

 private:
  UniqueFd bell_, gate_;
  uint8_t message_[kBellMessage] = {};
  size_t have_ = 0;
  uint64_t leaks_ = 0;
};

}  // namespace ktstr
