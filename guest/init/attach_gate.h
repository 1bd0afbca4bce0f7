// Answers the seccomp filter of the scheduler's process (notify_filter.h), on a real-time thread of its own.
//
// A filter cannot be taken back, and a call whose listener is closed fails with ENOSYS: the thread answers for as long as a
// process lives under the filter. Until the attach is over, a link of a struct_ops map is handed to `hand_over`, whose
// receiver answers it; every other call, and every call after that, goes on at once. A call that its receiver does not answer
// in time, or whose receiver is gone, goes on as well.
//
// Test: guest_test AttachGate.*, on the host.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/attach_call.h"

namespace ktstr::guest {

class AttachGate {
 public:
  struct Options {
    // Runs on the gate's thread: async-signal-safe calls only, since init forks meanwhile. False: the call goes on at once.
    bool (*hand_over)(void* receiver, const AttachCall& call) = nullptr;
    void* receiver = nullptr;
    uint64_t answer_limit_ns = 0;  // for one call
    bool real_time = true;         // false: for unit tests, which need no privilege then
  };

  AttachGate() = default;
  ~AttachGate();
  AttachGate(const AttachGate&) = delete;
  AttachGate& operator=(const AttachGate&) = delete;

  // Once. `listener` is kept open until the last process under the filter has ended.
  Status start(UniqueFd listener, const Options& options);
  // From now on nothing is handed over. What waits goes on.
  void attach_over();
  bool started() const { return started_; }
  // A call was not answered in time and was let go.
  bool was_late() const { return late_.load(); }

 private:
  static void* thread_main(void* gate);
  void serve();
  void take_one();
  void let_go_expired();
  void let_go(uint64_t id) const;
  int wait_ms();

  UniqueFd listener_, wake_;
  Options options_;
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<bool> catching_{true}, ending_{false}, late_{false};
  std::mutex mutex_;                 // of what follows
  std::optional<uint64_t> pending_;  // the notification that was handed over last
  uint64_t pending_since_ns_ = 0;
};

}  // namespace ktstr::guest
