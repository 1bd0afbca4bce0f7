// ktstr-qemu-order.so, preloaded into the QEMU of a deterministic VM: its main loop runs only while all vCPUs are idle.
//
// Under icount QEMU 7.2 has one thread of all vCPUs, and the main loop. Each expired timer of the guest also wakes the main loop,
// at a moment of the host's choosing. If the last busy vCPU has just halted then, and has not yet counted the instructions that it
// executed, the main loop sees that all are idle and moves the guest's clock on to the next timer: from the count as it was before.
// So the clock is ahead, by as many instructions as were not counted, and from there on the course of the guest is another one.
//
// Here the main loop's wait (ppoll) ends only when the thread of all vCPUs is in its own wait (pthread_cond_wait): it has counted
// then, and does nothing until the main loop wakes it. While vCPUs are busy their thread serves the guest's timers itself, and
// nothing of the guest needs the main loop. What comes from outside does: signals, QMP, gdb. It is let through, as it always was;
// a course is then as exact as QEMU makes it.
//
// It also ends the turns of the vCPUs, so that none keeps the others waiting, and where a seed says (guest/init/vcpu_switcher.h):
// class Turns.
//
// Tests: Determinism.AMainLoopThatIsAlwaysAwakeChangesNothing, Determinism.NoVcpuKeepsTheOthersWaiting (tests/e2e).
// Limits: needs the names and waits of QEMU's threads as 7.2 has them (-name debug-threads=on). Where they are others, nothing waits.
#include <dlfcn.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "schemas/gate_ports.h"

namespace {

constexpr char kVcpuThread[] = "ALL CPUs/TCG";
constexpr char kMonitorThread[] = "IO mon_iothread";  // reads QMP, and lets the main loop execute it
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kFreeNs =
    kSecondNs / 10;  // that long the main loop is free after something came from outside

std::atomic<uint32_t> parked{0};  // 1: the thread of all vCPUs waits at `place`
std::atomic<pthread_cond_t*> place{nullptr};
std::atomic<pthread_mutex_t*> big_lock{nullptr};  // QEMU's: only its holder touches the machine
std::atomic<bool> vcpus_exist{false};
std::atomic<uint64_t> free_until_ns{0};

uint64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecondNs + static_cast<uint64_t>(t.tv_nsec);
}

// The next definition of a function, in the order of loading. `kept` is its own.
template <typename F>
F* next(std::atomic<F*>& kept, const char* name) {
  F* f = kept.load(std::memory_order_relaxed);
  if (f == nullptr) {
    f = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
    kept.store(f, std::memory_order_relaxed);
  }
  return f;
}

// This thread has the name. Threads get theirs before they wait for the first time.
bool is_called(const char* wanted) {
  char name[17] = {};
  return ::prctl(PR_GET_NAME, name) == 0 && std::strcmp(name, wanted) == 0;
}

bool is_vcpu_thread() {
  static thread_local int8_t known = -1;
  if (known < 0) known = is_called(kVcpuThread) ? 1 : 0;
  return known == 1;
}

bool is_main_thread() { return ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid)); }

// It waits in the middle of something (at QEMU's end for its block devices): nobody else can run meanwhile.
bool main_holds_big_lock() {
  const pthread_mutex_t* lock = big_lock.load();
  return lock != nullptr && lock->__data.__owner == ::getpid();
}

// A ready descriptor that is no eventfd: those are QEMU's own bells, which have no type of file.
bool from_outside(const pollfd* fds, nfds_t count) {
  for (nfds_t i = 0; i < count; ++i) {
    struct stat st{};
    if (fds[i].revents != 0 && ::fstat(fds[i].fd, &st) == 0 && (st.st_mode & S_IFMT) != 0) return true;
  }
  return false;
}

void outside_came() { free_until_ns.store(now() + kFreeNs); }

// The guest has ended its VM. Its other vCPUs may go on for ever.
bool guest_has_ended() {
  static std::atomic<int (*)()> kept{nullptr};
  int (*requested)() = kept.load();
  if (requested == nullptr) {
    requested = reinterpret_cast<int (*)()>(::dlsym(RTLD_DEFAULT, "qemu_shutdown_requested_get"));
    kept.store(requested);
  }
  return requested != nullptr && requested() != 0;
}

// Ends when the thread of all vCPUs waits, or something comes from outside. There is no other limit: a guest that is never idle
// needs no main loop.
void await_turn() {
  while (parked.load() == 0) {
    if (now() < free_until_ns.load() || guest_has_ended()) return;
    // Short, because those two do not wake it.
    const timespec limit{0, 20'000'000};
    if (::syscall(SYS_futex, &parked, FUTEX_WAIT_PRIVATE, 0, &limit, nullptr, 0) != 0 && errno == EINTR)
      return;
  }
}

// Turns of the vCPUs. QEMU's own timers (include/qemu/timer.h), which it exports for its modules: one more of them expires at the
// end of each turn. Without them, or without KTSTR_QEMU_TURNS=SEED:FILE, turns are as QEMU makes them.
class Turns {
 public:
  // The file on which the guest's port is written.
  bool is_file(int fd) {
    if (!asked_) ask();
    if (fd == fd_) return true;
    if (path_ == nullptr || fd_ >= 0) return false;
    struct stat mine{}, its{};
    if (::stat(path_, &mine) != 0 || ::fstat(fd, &its) != 0 || mine.st_dev != its.st_dev ||
        mine.st_ino != its.st_ino)
      return false;
    fd_ = fd;
    return true;
  }

  void take(const uint8_t* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      length_ |= static_cast<uint32_t>(bytes[i]) << (8 * have_);
      if (++have_ < ktstr::kTurnMessage) continue;
      have_ = 0;
      set(length_);
      length_ = 0;
    }
  }

 private:
  static constexpr int kVirtualClock = 1;
  using Callback = void (*)(void*);

  void ask() {
    asked_ = true;
    const char* text = ::getenv("KTSTR_QEMU_TURNS");
    const char* colon = text == nullptr ? nullptr : std::strchr(text, ':');
    if (colon == nullptr) return;
    find(init_, "timer_init_full");
    find(arm_, "timer_mod_ns");
    find(clock_, "qemu_clock_get_ns");
    find(later_, "async_run_on_cpu");
    find(cpu_, "qemu_get_cpu");
    find(exit_, "cpu_exit");
    if (init_ == nullptr || arm_ == nullptr || clock_ == nullptr || later_ == nullptr || cpu_ == nullptr ||
        exit_ == nullptr)
      return;
    path_ = colon + 1;
    random_ = ::strtoull(text, nullptr, 10);
  }
  template <typename F>
  void find(F& f, const char* name) {
    f = reinterpret_cast<F>(::dlsym(RTLD_DEFAULT, name));
  }

  void set(uint32_t ns) {
    if (!made_)
      init_(
          timer_, nullptr, kVirtualClock, 1, 0, [](void* self) { static_cast<Turns*>(self)->turn_ended(); },
          this);
    made_ = true;
    ns_ = ns;
    next_turn();
  }
  void turn_ended() {
    later_(cpu_(0), [](void*, void* self) { static_cast<Turns*>(self)->let_all_come(); }, this);
    next_turn();
  }
  // QEMU's thread of all vCPUs goes round them (rr_cpu_thread_fn). A vCPU with a request to exit lets the expired timers run, then
  // executes up to the next one. A vCPU without one gets what the vCPU before it has left until the next timer, which is nothing if
  // a timer ended that one's turn: and so again the next time round. That starves the last vCPU for as long as the first computes.
  // So all have the request when a turn begins. A vCPU drops its request in its turn, an empty turn too: so it is made as work,
  // which QEMU does between turns.
  void let_all_come() {
    for (int i = 0; void* cpu = cpu_(i); ++i) exit_(cpu);
  }
  // From half the average to one and a half.
  void next_turn() {
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    const uint64_t length = ns_ / 2 + (random_ >> 33) % (ns_ + 1);
    arm_(timer_, clock_(kVirtualClock) + static_cast<int64_t>(length < kLeastNs ? kLeastNs : length));
  }

  static constexpr uint64_t kLeastNs = 16;
  bool asked_ = false, made_ = false;
  int fd_ = -1;
  const char* path_ = nullptr;
  uint64_t random_ = 0;
  uint32_t ns_ = 0, length_ = 0;
  unsigned have_ = 0;
  alignas(16) unsigned char timer_[512] = {};  // QEMUTimer, 56 bytes in 7.2
  void (*init_)(void* timer, void* group, int clock, int scale, int attributes, Callback, void*) = nullptr;
  void (*arm_)(void* timer, int64_t ns) = nullptr;
  int64_t (*clock_)(int) = nullptr;
  void (*later_)(void* cpu, void (*)(void* cpu, void* data), void* data) = nullptr;
  void* (*cpu_)(int index) = nullptr;
  void (*exit_)(void* cpu) = nullptr;
};
constinit Turns turns;

}  // namespace

// Seen by QEMU.
#pragma GCC visibility push(default)
extern "C" {

// QEMU's chardev of a file. The guest writes one byte at a time; its vCPU executes nothing meanwhile.
ssize_t writev(int fd, const iovec* parts, int count) {
  static std::atomic<ssize_t (*)(int, const iovec*, int)> kept{nullptr};
  const ssize_t result = next(kept, "writev")(fd, parts, count);
  const int error = errno;
  if (result > 0 && vcpus_exist.load() && is_vcpu_thread() && turns.is_file(fd))
    for (int i = 0; i < count; ++i)
      turns.take(static_cast<const uint8_t*>(parts[i].iov_base), parts[i].iov_len);
  errno = error;
  return result;
}

int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex) {
  static std::atomic<int (*)(pthread_cond_t*, pthread_mutex_t*)> kept{nullptr};
  auto* real = next(kept, "pthread_cond_wait");
  if (!is_vcpu_thread()) return real(cond, mutex);
  place.store(cond);
  big_lock.store(mutex);
  vcpus_exist.store(true);
  parked.store(1);
  ::syscall(SYS_futex, &parked, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  const int result = real(cond, mutex);
  parked.store(0);
  return result;
}

// Who wakes the thread of all vCPUs ends its wait, not the thread itself when it comes to run.
int pthread_cond_broadcast(pthread_cond_t* cond) {
  static std::atomic<int (*)(pthread_cond_t*)> kept{nullptr};
  auto* real = next(kept, "pthread_cond_broadcast");
  if (cond == place.load()) parked.store(0);
  return real(cond);
}

// QEMU's main loop.
int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  static std::atomic<int (*)(pollfd*, nfds_t, const timespec*, const sigset_t*)> kept{nullptr};
  auto* real = next(kept, "ppoll");
  const int result = real(fds, count, timeout, mask);
  if (!vcpus_exist.load() || !is_main_thread() || main_holds_big_lock()) return result;
  const int error = errno;
  if (result < 0 || from_outside(fds, count))
    outside_came();
  else
    await_turn();
  errno = error;
  return result;
}

// GLib's loop, in which QMP is read.
int poll(pollfd* fds, nfds_t count, int timeout) {
  static std::atomic<int (*)(pollfd*, nfds_t, int)> kept{nullptr};
  auto* real = next(kept, "poll");
  const int result = real(fds, count, timeout);
  const int error = errno;
  if (result > 0 && vcpus_exist.load() && is_called(kMonitorThread) && from_outside(fds, count))
    outside_came();
  errno = error;
  return result;
}

}  // extern "C"
#pragma GCC visibility pop
