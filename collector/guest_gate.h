// Checks what comes over the event channel: only verified events of a type that a guest may state pass, and they are
// stamped with what the host knows of their origin.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "schemas/envelope.h"

namespace ktstr {

// Longest name of a command that a client runs in the guest.
inline constexpr size_t kMaxCommandName = 64;

struct GateOptions {
  std::string run_id;
  Vm vm = Vm::Primary;
  uint8_t attempt = 0;
  uint64_t max_bytes = 1u << 30;  // a VM that says more is cut off: the log is a file on somebody's disk
};

class GuestGate {
 public:
  explicit GuestGate(GateOptions options) : options_(std::move(options)) {}

  // Error: refused, with the reason. host_ns is stamped on what passes.
  Result<EventBuffer> admit(std::span<const uint8_t> payload, uint64_t host_ns);

  uint64_t refused() const { return refused_; }
  const std::string& first_refusal() const { return first_refusal_; }

 private:
  Result<EventBuffer> check(std::span<const uint8_t> payload);

  GateOptions options_;
  uint64_t bytes_ = 0;
  uint64_t refused_ = 0;
  std::string first_refusal_;
};

}  // namespace ktstr
