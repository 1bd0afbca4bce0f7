// The guest's clock against the host's, as the monitor's samples show both.
//
// A guest that has measured its counter wrongly, on a host that did not run it meanwhile, counts several seconds in one: every watchdog,
// deadline and measurement in it is wrong, and nobody's fault. An emulated guest is told the rate (launcher/vm/host_tsc.h), unless
// the test's kernel arguments say otherwise, or the log is older.
#pragma once

#include <cstdint>
#include <optional>

namespace ktstr {

class ClockRate {
 public:
  // ns of both clocks at one moment. A guest that sleeps has an old clock: it may then be behind, never ahead.
  void at(uint64_t guest_ns, uint64_t host_ns);
  // Guest seconds in a second of the host, when it is too many to be the delay of some sample.
  std::optional<double> too_fast() const;

 private:
  struct Reading {
    uint64_t guest_ns = 0, host_ns = 0;
  };
  std::optional<Reading> first_;
  Reading last_;
};

}  // namespace ktstr
