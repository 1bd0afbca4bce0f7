#include "reporter/user_threads.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "reporter/names.h"

namespace ktstr {
namespace {

// x86-64's numbers of the calls in which a process waits; empty: another call.
std::string syscall_name(int64_t number) {
  static constexpr std::pair<int64_t, const char*> kCalls[] = {{0, "read"},
                                                               {1, "write"},
                                                               {7, "poll"},
                                                               {23, "select"},
                                                               {24, "sched_yield"},
                                                               {34, "pause"},
                                                               {35, "nanosleep"},
                                                               {43, "accept"},
                                                               {45, "recvfrom"},
                                                               {47, "recvmsg"},
                                                               {61, "wait4"},
                                                               {128, "rt_sigtimedwait"},
                                                               {130, "rt_sigsuspend"},
                                                               {202, "futex"},
                                                               {208, "io_getevents"},
                                                               {230, "clock_nanosleep"},
                                                               {232, "epoll_wait"},
                                                               {247, "waitid"},
                                                               {270, "pselect6"},
                                                               {271, "ppoll"},
                                                               {281, "epoll_pwait"},
                                                               {321, "bpf"},
                                                               {426, "io_uring_enter"},
                                                               {449, "futex_waitv"},
                                                               {455, "futex_wait"}};
  for (const auto& [known, name] : kCalls)
    if (known == number) return name;
  return number >= 0 ? fmt::format("system call {}", number) : "";
}

bool sleeps(const FrozenThreadT& thread) { return thread.state != "R" && thread.state != "waking"; }

bool stopped(const FrozenThreadT& thread) {
  return thread.state == "T" || thread.wait_channel == "do_signal_stop";
}

const GuestFrozenT* at_exit(const VmRecord& vm) { return vm.monitor.frozen ? &*vm.monitor.frozen : nullptr; }

bool killed(const FrozenThreadT& thread) { return (thread.wait_status & 0x7f) != 0; }

}  // namespace

std::string thread_words(const FrozenThreadT& thread) {
  std::string text = fmt::format("{}[{}]", thread.comm, thread.pid);
  if (stopped(thread)) {
    text += " is stopped by a signal";
  } else if (sleeps(thread)) {
    text += " sleeps";
    if (!thread.wait_channel.empty()) text += " in " + thread.wait_channel;
  } else {
    text += thread.ran_ago_ns ? " is runnable" : " runs";
  }
  if (const std::string call = syscall_name(thread.syscall); !call.empty())
    text += fmt::format(" ({})", call);
  if (thread.ran_ago_ns) text += fmt::format(", ran {} ago", human_ns(thread.ran_ago_ns));
  return text;
}

const GuestFrozenT* frozen_threads(const VmRecord& vm) {
  for (const auto* frozen : {vm.monitor.early_of_end(), at_exit(vm)})
    if (frozen && !frozen->threads.empty()) return frozen;
  return nullptr;
}

const FrozenThreadT* stopped_thread(const VmRecord& vm) {
  for (const auto* frozen : {at_exit(vm), vm.monitor.early_of_end()})
    for (size_t i = 0; frozen && i < frozen->threads.size(); ++i)
      if (stopped(*frozen->threads[i])) return frozen->threads[i].get();
  return nullptr;
}

const FrozenThreadT* ending_thread(const VmRecord& vm) {
  for (const auto* frozen : {at_exit(vm), vm.monitor.early_of_end()})
    for (size_t i = 0; frozen && i < frozen->threads.size(); ++i)
      if (const auto& t = *frozen->threads[i]; t.ending && (killed(t) || frozen->early)) return &t;
  return nullptr;
}

std::string ending_words(const FrozenThreadT& thread) {
  return killed(thread) ? "was killed by " + signal_name(thread.wait_status & 0x7f)
                        : fmt::format("exits with code {}", thread.wait_status >> 8 & 0xff);
}

uint64_t process_idle_ns(const GuestFrozenT& frozen) {
  uint64_t least = UINT64_MAX;
  for (const auto& thread : frozen.threads) least = std::min(least, sleeps(*thread) ? thread->ran_ago_ns : 0);
  return frozen.threads.empty() ? 0 : least;
}

}  // namespace ktstr
