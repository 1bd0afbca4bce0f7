// Work that several workers do together: PipeIo, CachePipe, FutexPingPong, FutexFanOut, FanOutCompute,
// MutexContention. Every wait ends when the workload does, though a peer be gone.
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/clock.h"
#include "schemas/common_generated.h"
#include "workload/futex.h"
#include "workload/worker_loop.h"

namespace ktstr {
namespace {

class PipeWork : public Work {
 public:
  PipeWork(WorkerLoop& loop, bool cache) : loop_(loop) {
    if (cache) cache_.emplace(loop.group());
  }
  void iterate() override {
    char byte = 0;
    if (first_ && s_.has_token) hand_over(byte);
    first_ = false;
    if (const ssize_t n = ::read(s_.pipe_in, &byte, 1); n != 1) {
      if (n == 0 || errno != EINTR) loop_.could_not(Operation::kReadPipe, n == 0 ? EPIPE : errno);
      return loop_.rest();
    }
    loop_.woken(s_.self->handed_ns.load());
    hand_over(byte);
  }

 private:
  void hand_over(char byte) {
    if (cache_) cache_->pass();
    loop_.look();
    s_.next->handed_ns.store(loop_.last_ns());
    if (::write(s_.pipe_out, &byte, 1) != 1 && errno != EINTR) loop_.could_not(Operation::kWritePipe, errno);
  }

  WorkerLoop& loop_;
  const WorkerSetup& s_ = loop_.setup();
  std::optional<CacheWalk> cache_;
  bool first_ = true;
};

class PingPongWork : public Work {
 public:
  explicit PingPongWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    if (first_ && s_.has_token) hand_over();
    first_ = false;
    while (s_.self->token.load() == 0) {
      if (loop_.stopping()) return loop_.rest();
      futex_wait(s_.self->token, 0, &kFutexLimit);
    }
    s_.self->token.store(0);
    loop_.woken(s_.self->handed_ns.load());
    hand_over();
  }

 private:
  void hand_over() {
    loop_.spin(loop_.group().spin_iters);
    s_.next->handed_ns.store(loop_.last_ns());
    s_.next->token.store(1);
    futex_wake(s_.next->token, 1);
  }

  WorkerLoop& loop_;
  const WorkerSetup& s_ = loop_.setup();
  bool first_ = true;
};

// The messenger starts a round and waits for all answers; a receiver waits for the next round, works,
// answers.
class FanOutWork : public Work {
 public:
  FanOutWork(WorkerLoop& loop, bool compute) : loop_(loop), compute_(compute) {}
  void iterate() override { s_.place == 0 ? send() : receive(); }

 private:
  void send() {
    head_.answers.store(0);
    loop_.look();
    head_.handed_ns.store(loop_.last_ns());
    head_.round.fetch_add(1);
    futex_wake(head_.round);
    loop_.spin(loop_.group().spin_iters);
    bool slept = false;
    while (true) {
      const uint32_t answers = head_.answers.load();
      if (answers >= loop_.group().fan_out) break;
      if (loop_.stopping()) return loop_.rest();
      futex_wait(head_.answers, answers, &kFutexLimit);
      slept = true;
    }
    if (slept)
      loop_.woken(s_.next->handed_ns.load());  // of the group's first receiver: the last answer's time
    else
      loop_.look();
  }

  void receive() {
    while (head_.round.load() == seen_) {
      if (loop_.stopping()) return loop_.rest();
      futex_wait(head_.round, seen_, &kFutexLimit);
    }
    seen_ = head_.round.load();
    loop_.woken(head_.handed_ns.load());
    compute_ ? loop_.compute_for(loop_.group().burst_ns) : loop_.spin(loop_.group().spin_iters);
    s_.next->handed_ns.store(loop_.last_ns());
    if (head_.answers.fetch_add(1) + 1 >= loop_.group().fan_out) futex_wake(head_.answers);
  }

  WorkerLoop& loop_;
  const WorkerSetup& s_ = loop_.setup();
  WorkerSlot& head_ = *s_.head;
  const bool compute_;
  uint32_t seen_ = 0;
};

class MutexWork : public Work {
 public:
  explicit MutexWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    loop_.spin(loop_.group().work_iters);
    if (!lock()) return loop_.rest();
    loop_.spin(loop_.group().hold_iters);
    head_.handed_ns.store(loop_.last_ns());
    if (head_.lock.exchange(0) == 2) futex_wake(head_.lock, 1);
    loop_.look();
  }

 private:
  bool lock() {
    uint32_t free = 0;
    if (head_.lock.compare_exchange_strong(free, 1)) return true;
    bool slept = false;
    while (head_.lock.exchange(2) != 0) {
      if (loop_.stopping()) return false;
      futex_wait(head_.lock, 2, &kFutexLimit);
      slept = true;  // also by its limit: waiting for the lock is no gap
    }
    slept ? loop_.woken(head_.handed_ns.load()) : loop_.look();
    return true;
  }

  WorkerLoop& loop_;
  WorkerSlot& head_ = *loop_.setup().head;
};

}  // namespace

std::unique_ptr<Work> make_peer_work(WorkerLoop& loop) {
  switch (loop.group().work) {
    case WorkType::PipeIo:
      return std::make_unique<PipeWork>(loop, false);
    case WorkType::CachePipe:
      return std::make_unique<PipeWork>(loop, true);
    case WorkType::FutexPingPong:
      return std::make_unique<PingPongWork>(loop);
    case WorkType::FutexFanOut:
      return std::make_unique<FanOutWork>(loop, false);
    case WorkType::FanOutCompute:
      return std::make_unique<FanOutWork>(loop, true);
    case WorkType::MutexContention:
      return std::make_unique<MutexWork>(loop);
    default:
      return nullptr;
  }
}

}  // namespace ktstr
