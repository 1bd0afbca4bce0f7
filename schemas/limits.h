// Bounds that several rooms share. What a user may ask of auto-repro: the spec's attributes, the command line, ktstr-reproer and
// ktstr-probe take them from here. Named test: Limits.ReproHistoryHasOneBound in spec/spec_test.cc.
#pragma once

#include <cstdint>

namespace ktstr {

// repro VMs of one run, from 1. All of them are booted; the report counts those that crashed in the same way.
inline constexpr uint32_t kMaxReproTries = 100;
// Calls of each probed function that are kept and shown, from 1.
inline constexpr uint32_t kMaxReproHistory = 64;

// Files that `attach --guest --fetch` brings out: bytes of one, bytes of a piece, files of one command.
inline constexpr uint64_t kMaxFetchedFile = 64u << 20;
inline constexpr uint32_t kFetchPiece = 256u << 10;
inline constexpr uint32_t kMaxFetched = 16;

// `shell`: bytes of one message, and bytes of input that may be on their way to the guest (schemas/shell.fbs).
inline constexpr uint32_t kShellPiece = 32u << 10;
inline constexpr uint32_t kShellWindow = 64u << 10;

}  // namespace ktstr
