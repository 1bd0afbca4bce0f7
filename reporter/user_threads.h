// What the scheduler's own process did while tasks waited: its threads as the monitor read them from the paused guest.
#pragma once

#include <cstdint>
#include <string>

#include "reporter/vm_record.h"

namespace ktstr {

// "scx_x[110] sleeps in futex_do_wait (futex), ran 4.4 s ago"
std::string thread_words(const FrozenThreadT& thread);

// The freeze that shows the threads: the early one, else that at the exit; null: none does.
const GuestFrozenT* frozen_threads(const VmRecord& vm);

// A thread of the process that SIGSTOP or the like has stopped, at the exit or before; null: none.
const FrozenThreadT* stopped_thread(const VmRecord& vm);

// A thread that is left of a process that was killed, or that exited while a task waited; null: none. A process that exits because
// the scheduler was aborted is not meant.
const FrozenThreadT* ending_thread(const VmRecord& vm);

// "was killed by SIGKILL", "exits with code 1": of a thread whose process is ending.
std::string ending_words(const FrozenThreadT& thread);

// The shortest time since a thread of the process ran; 0: one runs or waits for a CPU, or nothing is known.
uint64_t process_idle_ns(const GuestFrozenT& frozen);

}  // namespace ktstr
