// Frames of a crash's backtrace that say how the crash was reported or where the kernel was entered, not how
// it came about. One table, with reasons, for the crash chain (reproer) and the crash signature.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"

namespace ktstr {

// Why `function` (name without prefix, tag, offset) is no part of the chain: "exit machinery", "trampoline",
// ... Empty: it is one.
std::string_view frame_noise(std::string_view function);

// The callback that a function of the kernel calls, "dispatch" for balance_one: names the scheduler's part in an error
// that the kernel raised itself. Empty: it calls none.
std::string_view callback_called_by(std::string_view function);

// The outermost frame of an interrupt: the frames further out were interrupted.
bool is_interrupt(std::string_view function);

struct CrashFrames {
  std::vector<const ChainFrameT*> kept;     // innermost first
  std::vector<const ChainFrameT*> dropped;  // with
  std::vector<std::string_view> reasons;    // why, same length
};
// Splits a backtrace: noise, frames the kernel was unsure of ("? "), and repeats of the frame before (a
// probe's trampoline shows a program twice) are dropped, and of a scheduler's exit what an interrupt stopped.
// The result points into `crash`.
CrashFrames split_frames(const CrashDetectedT& crash);

}  // namespace ktstr
