// The device that carries the event channel's bytes. There are two carriers: a virtserialport (default) and a plain UART, which
// stays deterministic under -icount because nothing in it is served asynchronously.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace ktstr::guest {

class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual std::string name() const = 0;  // "virtserialport /dev/vport1p1"
  // Takes as much as goes at once; 0 when the host reads too slowly just now. Errors are final.
  virtual Result<size_t> write(std::span<const uint8_t> bytes) = 0;
  // Waits until it takes bytes again, or `limit_ms` passed.
  virtual bool wait_writable(int limit_ms) = 0;
  // All bytes were written: returns once the host has them, false when that was not known within `limit_ms`. Only for a
  // carrier that brings no input: on one that does, the host answers.
  virtual bool flush(int limit_ms) = 0;
  // What the host says, for poll(2); -1: this carrier brings nothing.
  virtual int input_fd() const { return -1; }
  // Takes what is there; 0: nothing now. An error: nothing more will come.
  virtual Result<size_t> read(std::span<uint8_t>) { return size_t{0}; }
};

// Finds the carrier: what "ktstr.channel=ttyS1" on the kernel command line says, else the virtserialport
// named kChannelPortName (waited for: its name arrives after boot), else the second UART.
Result<std::unique_ptr<Carrier>> open_carrier();

}  // namespace ktstr::guest
