// Futexes between processes that share memory.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace ktstr {

// True: it was woken (not: the value had changed, the limit passed, or a signal came).
inline bool futex_wait(std::atomic<uint32_t>& word, uint32_t value, const timespec* limit = nullptr) {
  return ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value, limit, nullptr, 0) == 0;
}
inline void futex_wake(std::atomic<uint32_t>& word, int count = INT_MAX) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, count, nullptr, nullptr, 0);
}
// A lost peer must not keep a worker from seeing `stop`.
inline constexpr timespec kFutexLimit{0, 100'000'000};

}  // namespace ktstr
