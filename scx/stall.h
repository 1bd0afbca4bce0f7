// Whether a crash is a stall: the watchdog aborted the scheduler because a runnable task was not run. Decided
// here for everyone: the report's summary, the monitor section's blame, the functions that auto-repro probes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

struct CrashDetectedT;

// A told exit kind decides. Without one (the dump was lost) it is the task that the message names as not run,
// or the reason. A lockup or RCU stall of the kernel is none.
bool is_stall(const CrashDetectedT& crash);

// "cg_0/1[123] failed to run for 5.123s", as a stall's message has it.
struct StalledTask {
  std::string comm;
  int pid = 0;
  uint64_t ns = 0;
};
std::optional<StalledTask> parse_stall(std::string_view message);

// "watchdog failed to check in for 3.008s": for how long, in ns; 0: the message says another thing.
uint64_t watchdog_silence_ns(std::string_view message);

}  // namespace ktstr
