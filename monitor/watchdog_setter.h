// watchdog_timeout_s: gives a scheduler another watchdog timeout than its own.
//
// The kernel takes the timeout when the scheduler is attached, and sets the first look of its watchdog by it:
// a shorter one written later would come too late, and make the tick believe that the watchdog itself is
// dead. So it is written where the kernel will read it, into the struct_ops value that waits to be attached
// (ktstr-probe holds the scheduler there), and afterwards the kernel's own number is compared. One that was
// missed can still be lengthened.
#pragma once

#include <cstdint>
#include <optional>

#include "monitor/guest_kernel.h"
#include "monitor/ram_writer.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

class WatchdogSetter {
 public:
  // `kernel` and `writer` outlive it.
  WatchdogSetter(const GuestKernel& kernel, RamWriter& writer, uint64_t timeout_ns)
      : kernel_(kernel), writer_(writer), timeout_ns_(timeout_ns) {}
  // Called often, until it has said how it went.
  std::optional<WatchdogSetT> look();
  bool done() const { return done_; }

 private:
  void write_waiting();
  uint64_t wanted_jiffies() const;
  Status write_in_force();

  const GuestKernel& kernel_;
  RamWriter& writer_;
  uint64_t timeout_ns_;
  uint64_t before_ns_ = 0;
  bool done_ = false;
};

}  // namespace ktstr
