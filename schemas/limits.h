// Bounds of what a user may ask of auto-repro. The spec's attributes, the command line, ktstr-reproer and
// ktstr-probe take them from here. Named test: Limits.ReproHistoryHasOneBound in spec/spec_test.cc.
#pragma once

#include <cstdint>

namespace ktstr {

// repro VMs of one run, from 1. All of them are booted; the report counts those that crashed in the same way.
inline constexpr uint32_t kMaxReproTries = 100;
// Calls of each probed function that are kept and shown, from 1.
inline constexpr uint32_t kMaxReproHistory = 64;

}  // namespace ktstr
