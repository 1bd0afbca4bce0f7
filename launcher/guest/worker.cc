// The gap. In the loop a worker looks at the clock after every short computation; the time between two looks
// is work plus the time it was not running. A wanted sleep is no gap: after one, the clock counts from the
// moment at which the worker asked to run again, or at which its peer woke it. So "longest gap" is the
// longest time that the worker could have run and did not.
#include "launcher/guest/worker.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/guest/guest_clock.h"

namespace ktstr::guest {
namespace {

void futex(std::atomic<uint32_t>& word, int op, uint32_t value, const timespec* limit = nullptr) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), op, value, limit, nullptr, 0);
}

class Worker {
 public:
  explicit Worker(const WorkerSetup& setup) : s_(setup), t_(setup.self->telemetry) {}

  void run() {
    while (s_.control->go.load() == 0) futex(s_.control->go, FUTEX_WAIT, 0);
    t_.start_ns = t_.last_ns = s_.control->go_ns.load();
    look();
    while (s_.control->stop.load(std::memory_order_relaxed) == 0) {
      iterate();
      ++t_.iterations;
    }
    look();
    s_.self->finished.store(1);
  }

 private:
  void iterate() {
    switch (s_.work) {
      case WorkType::CpuSpin:
        return compute();
      case WorkType::YieldHeavy:
        compute();
        ::sched_yield();
        return look();
      case WorkType::Mixed:
        return mixed();
      case WorkType::Bursty:
        compute_for(s_.burst_ns);
        return sleep_for(s_.pause_ns);
      case WorkType::PipeIo:
        return pass_by_pipe();
      case WorkType::FutexPingPong:
        return pass_by_futex();
      case WorkType::ForkExit:
        return fork_exit();
      default:
        return compute();  // the spec reader lets no other type through
    }
  }

  // Some ten microseconds, then a look at the clock.
  void compute() {
    uint64_t x = seed_;
    for (int i = 0; i < 3000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
    seed_ = x;
    asm volatile("" : : "r"(x));  // the result is used
    look();
  }

  void compute_for(uint64_t ns) {
    const uint64_t until = t_.last_ns + ns;
    do compute();
    while (t_.last_ns < until && !stopping());
  }

  void mixed() {
    compute_for(s_.burst_ns);
    ::sched_yield();
    look();
    compute();
    sleep_for(s_.pause_ns);
  }

  void sleep_for(uint64_t ns) {
    const uint64_t wake_at = now_ns() + ns;
    const timespec until{static_cast<time_t>(wake_at / kSecond), static_cast<long>(wake_at % kSecond)};
    if (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == 0) woken(wake_at);
  }

  void pass_by_pipe() {
    char byte = 0;
    if (first_ && s_.has_token) hand_over_pipe(byte);
    first_ = false;
    if (::read(s_.pipe_in, &byte, 1) != 1) return rest();
    woken(s_.self->handed_ns.load());
    hand_over_pipe(byte);
  }
  void hand_over_pipe(char byte) {
    look();
    s_.next->handed_ns.store(t_.last_ns);
    (void)!::write(s_.pipe_out, &byte, 1);
  }

  void pass_by_futex() {
    if (first_ && s_.has_token) hand_over_futex();
    first_ = false;
    const timespec limit{0, 100'000'000};  // a lost peer must not keep it from seeing `stop`
    while (s_.self->token.load() == 0) {
      if (stopping()) return rest();
      futex(s_.self->token, FUTEX_WAIT, 0, &limit);
    }
    s_.self->token.store(0);
    woken(s_.self->handed_ns.load());
    hand_over_futex();
  }
  void hand_over_futex() {
    look();
    s_.next->handed_ns.store(t_.last_ns);
    s_.next->token.store(1);
    futex(s_.next->token, FUTEX_WAKE, 1);
  }

  void fork_exit() {
    // Raw, so that the child inherits no exit handlers: it only exits.
    pid_t child = static_cast<pid_t>(::syscall(SYS_fork));
    if (child == 0) ::_exit(0);
    if (child > 0) {
      while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR && !stopping()) {
      }
      ++t_.wakeups;
    }
    look();
  }

  bool stopping() const { return s_.control->stop.load(std::memory_order_relaxed) != 0; }

  // It wanted to run since `since`, and runs now.
  void woken(uint64_t since) {
    const uint64_t now = now_ns();
    ++t_.wakeups;
    t_.wake.add(now > since ? now - since : 0);
    t_.last_ns = since < now ? since : now;
    look();
  }

  // Was blocked on purpose for an unknown time.
  void rest() { t_.last_ns = now_ns(); }

  void look() {
    const uint64_t now = now_ns();
    const int cpu = ::sched_getcpu();
    const uint64_t gap = now - t_.last_ns;
    if (now > t_.last_ns && gap > t_.longest_gap_ns) {
      t_.longest_gap_ns = gap;
      t_.gap_at_ns = now;
      t_.gap_cpu = cpu;
    }
    t_.last_ns = now;
    if (cpu == t_.cpu || cpu < 0) return;
    if (t_.cpu >= 0) ++t_.migrations;
    t_.cpu = cpu;
    if (static_cast<unsigned>(cpu) < kMaxCpus) t_.cpus[cpu / 64] |= uint64_t{1} << (cpu % 64);
  }

  const WorkerSetup& s_;
  Telemetry& t_;
  uint64_t seed_ = 1;
  bool first_ = true;
};

}  // namespace

void run_worker(const WorkerSetup& setup) { Worker(setup).run(); }

}  // namespace ktstr::guest
