#include "guest/init/host_gate.h"

#include <sys/io.h>

#include "base/clock.h"
#include "schemas/gate_ports.h"

namespace ktstr::guest {

bool HostGate::open() {
  open_ = ::ioperm(kClockPort, 2, 1) == 0;
  return open_;
}

void HostGate::pass() {
  if (!open_) return;
  const uint64_t now = now_ns();
  for (unsigned i = 0; i < 8; ++i) ::outb(static_cast<uint8_t>(now >> (8 * i)), kClockPort);
  ::outb(static_cast<uint8_t>(stage_), kGatePort);
}

}  // namespace ktstr::guest
