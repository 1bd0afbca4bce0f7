#include "workload/worker.h"

#include <sched.h>
#include <unistd.h>

#include <iterator>

#include "base/clock.h"
#include "workload/futex.h"
#include "workload/worker_loop.h"

namespace ktstr {

void WorkerLoop::start() {
  t_.start_ns = t_.last_ns = s_.control->go_ns.load();
  look();
}

void WorkerLoop::spin(uint32_t rounds) {
  uint64_t x = seed_;
  for (uint32_t i = 0; i < rounds; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  seed_ = x;
  asm volatile("" : : "r"(x));  // the result is used
  look();
}

void WorkerLoop::compute_for(uint64_t ns) {
  const uint64_t until = t_.last_ns + ns;
  do compute();
  while (t_.last_ns < until && !stopping());
}

void WorkerLoop::sleep_for(uint64_t ns) {
  const uint64_t wake_at = now_ns() + ns;
  const timespec until{static_cast<time_t>(wake_at / kSecond), static_cast<long>(wake_at % kSecond)};
  if (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == 0)
    woken(wake_at);
  else
    rest();  // told to end: what it slept was wanted
}

void WorkerLoop::yield() {
  ::sched_yield();
  look();
}

void WorkerLoop::woken(uint64_t since) {
  const uint64_t now = now_ns();
  ++t_.wakeups;
  t_.wake.add(now > since ? now - since : 0);
  t_.last_ns = since < now ? since : now;
  look();
}

void WorkerLoop::could_not(Operation operation, int error) {
  refused_ = true;
  if (stopping()) return;
  for (OperationFailures& f : t_.failures) {
    if (f.count != 0 && (f.operation != operation || f.error != error)) continue;
    f.operation = operation;
    f.error = error;
    ++f.count;
    return;
  }
}

const char* operation_name(Operation operation) {
  static constexpr const char* kNames[] = {"fork",
                                           "open",
                                           "write",
                                           "fsync",
                                           "mmap",
                                           "read",
                                           "write to a pipe",
                                           "sched_setaffinity",
                                           "sched_setscheduler",
                                           "setpriority"};
  const auto index = static_cast<size_t>(operation);
  return index < std::size(kNames) ? kNames[index] : "?";
}

void WorkerLoop::rest() { t_.last_ns = now_ns(); }

void WorkerLoop::look() {
  const uint64_t now = now_ns();
  const int cpu = ::sched_getcpu();
  const uint64_t gap = now - t_.last_ns;
  if (now > t_.last_ns && gap > t_.longest_gap_ns) {
    t_.longest_gap_ns = gap;
    t_.gap_at_ns = now;
    t_.gap_cpu = cpu;
  }
  t_.last_ns = now;
  if (cpu < 0) return;
  if (static_cast<unsigned>(cpu) < kMaxCpus &&
      (s_.control->allowed[cpu / 64].load(std::memory_order_relaxed) >> (cpu % 64) & 1) == 0)
    note_outside(cpu);
  if (cpu == t_.cpu) return;
  if (t_.cpu >= 0) ++t_.migrations;
  t_.cpu = cpu;
  if (static_cast<unsigned>(cpu) < kMaxCpus) t_.cpus[cpu / 64] |= uint64_t{1} << (cpu % 64);
}

// The cpuset may have changed between the two looks: then it runs elsewhere by now.
void WorkerLoop::note_outside(int cpu) {
  if (::sched_getcpu() != cpu) return;
  if (s_.control->allowed[cpu / 64].load() >> (cpu % 64) & 1) return;
  t_.outside[cpu / 64] |= uint64_t{1} << (cpu % 64);
}

void wait_for_go(WorkloadControl& control) {
  while (control.go.load() == 0) futex_wait(control.go, 0);
}

void run_worker(const WorkerSetup& setup) {
  wait_for_go(*setup.control);
  WorkerLoop loop(setup);
  loop.start();
  if (setup.function) {
    (*setup.function)(loop);
    loop.look();
    setup.self->finished.store(1);
    return;
  }
  std::unique_ptr<Work> work;
  for (auto* make : {make_plain_work, make_memory_work, make_peer_work, make_churn_work})
    if (!work) work = make(loop);
  if (!work) ::_exit(2);  // a type of a later version: the spec's reader and init are built together
  while (!loop.stopping()) {
    work->iterate();
    if (!loop.take_refused()) ++loop.telemetry().iterations;
  }
  loop.look();
  setup.self->finished.store(1);
}

}  // namespace ktstr
