// What PID 1 needs around a GuestRun: file systems, priority, power-off.
#pragma once

namespace ktstr::guest {

// Mounts, opens the channel, runs the plan. Returns when all is drained.
void init_main();
// For failures before or beside the channel: one line in the kernel's log.
void last_words(const char* text);
[[noreturn]] void power_off();

}  // namespace ktstr::guest
