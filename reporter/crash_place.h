// Where a crash happened, for the BUG SUMMARY: the scheduler's statement if the backtrace or the probes of the repro VM show it,
// else the callback that the kernel's message or backtrace names.
#pragma once

#include <string>
#include <string_view>

#include "reporter/run_model.h"
#include "schemas/crash_generated.h"

namespace ktstr {

// The path it was compiled under is long and says little.
inline std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The scheduler's own innermost frame of a backtrace; null when there is none.
const ChainFrameT* scheduler_frame(const CrashDetectedT& crash);

// " (scx_x.bpf.c:213 in x_charge, called by x_enqueue: text)"; empty: nothing is known.
std::string crash_place(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash);

// Where the kernel was when it fell, not the code that says so. REQUIRES: a backtrace.
const ChainFrameT& fault_place(const CrashDetectedT& crash);

}  // namespace ktstr
