// Pauses the VM through QEMU's monitor (QMP).
//
// The VM must not stay paused. So `cont` is sent also when `stop` failed, and a guard process sends it when the
// monitor dies or hangs in between. The guard is a child process that shares the QMP connection, so the
// connection outlives the monitor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace ktstr {

class VmHold {
 public:
  virtual ~VmHold() = default;
  // The VM is paused once this succeeds. release() must follow in either case.
  virtual Status hold() = 0;
  virtual Status release() = 0;
  // The guard ends a pause that lasts longer; 0: there is no guard.
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
