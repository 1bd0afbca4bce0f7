// Holds the VM for an instant, through QEMU's monitor.
//
// The one danger is a VM that stays held. So the command that lets it go is sent whatever came of the one
// that stops it, and a guard, a child process with nothing but the QMP connection, sends it when the monitor
// dies or hangs in between: the connection is shared, so that it outlives the monitor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace ktstr {

class VmHold {
 public:
  virtual ~VmHold() = default;
  // The VM stands still once this succeeds. release() must follow in either case.
  virtual Status hold() = 0;
  virtual Status release() = 0;
  // A hold that lasts longer is ended by another; 0: none is.
  virtual uint64_t limit_ns() const { return 0; }
};

struct QmpHoldOptions {
  int connect_ms = 500;
  int answer_ms = 1000;  // for each command; QEMU needs less than one
  int guard_ms = 5000;   // a hold that lasts longer is ended by the guard
};

// Connects to QEMU and starts the guard. Errors: QEMU does not answer.
Result<std::unique_ptr<VmHold>> open_qmp_hold(const std::string& qmp_path,
                                              const QmpHoldOptions& options = {});

}  // namespace ktstr
