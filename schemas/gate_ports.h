// The ports of a deterministic VM that ktstr-init writes to (isa-debugcon, launcher/deterministic/carriers.h).
//
//   eight bytes on kClockPort: the guest's CLOCK_MONOTONIC, ns, little-endian
//   one byte on kGatePort:     Stage reached. The guest stands still until the monitor has read its memory
//   four bytes on kTurnPort:   ns that a vCPU's turn lasts on average from now on, little-endian
#pragma once

#include <cstddef>
#include <cstdint>

namespace ktstr {

inline constexpr uint16_t kClockPort = 0x5e8;
inline constexpr uint16_t kGatePort = 0x5e9;
inline constexpr uint16_t kTurnPort = 0x5ea;
inline constexpr size_t kTurnMessage = 4;  // bytes
inline constexpr size_t kBellMessage = 9;  // bytes in the bell: clock and stage

}  // namespace ktstr
