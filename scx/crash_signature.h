// The stable signature of a crash: one bug from many runs has one signature.
//
//   "0x401 scx_bpf_error: demo: budget of N enqueues spent by TASK on cpu N @ demo_charge < demo_place <
//   demo_enqueue"
//
// Exit kind and reason, the message with what varies from run to run taken out, the top frames without noise
// (scx/crash_frames.h). Pure functions of CrashDetected.
#pragma once

#include <string>
#include <string_view>

#include "schemas/crash_generated.h"

namespace ktstr {

// Numbers become N, "comm[pid]" becomes TASK, addresses ADDR, runs of white space one space.
std::string normalize_crash_message(std::string_view message);

std::string crash_signature(const CrashDetectedT& crash);
std::string crash_signature(const CrashDetected& crash);

}  // namespace ktstr
