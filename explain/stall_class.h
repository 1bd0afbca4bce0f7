// Which kind of stall it was: from where the task waited, on which CPUs it may run, and what those CPUs did meanwhile. A
// class is named only on facts that are there; else the facts stand alone. Pure; `explain` fills the facts from a dump's
// text, the reporter from whatever the run recorded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

class ScxDump;

// Named in `explain`, in reports and in docs/explain.md alike.
enum class StallClass : uint8_t {
  kUnknown,               // the facts name none
  kDsqNotConsumed,        // in a DSQ that no CPU on which it may run takes from
  kDsqNotServed,          // bound to one CPU, which serves others and not that DSQ
  kDsqBusy,               // in a shared DSQ, and every CPU is busy
  kDsq,                   // in a DSQ, with nothing that decides
  kLocalNoKick,           // in the local DSQ of an idle CPU
  kLocalDsq,              // in the local DSQ of a busy CPU
  kNotKicked,             // in another DSQ, and an idle CPU that takes from it was never told
  kHeldByScheduler,       // enqueued, and in no DSQ
  kOnNoDsq,               // in no DSQ, and not marked as enqueued
  kUserHalfAsleep,        // held for the scheduler's own process, which did not run
  kDispatchMovesNothing,  // ops.dispatch is called and moves nothing
  kStarvedInOrder,        // others of its DSQ always come first
  kLocalDsqFirst,         // ops.dispatch is never called where it may run: the local DSQ there never runs dry
  kCpuHeld,               // ops.dispatch is never called where it may run: one sched_ext task keeps the CPU
  kCpuTaken,              // real-time, deadline, stop or fair tasks have the CPU
  kTimerStopped,          // a BPF timer of the scheduler stopped just before
  kSlowCallback,          // a callback of the scheduler has the CPUs
  kWatchdogStarved,       // the watchdog's own worker was not run
  kBypass,                // the kernel's bypass mode
  kHost,                  // the host did not run the guest's CPUs
};
std::string_view stall_class_name(StallClass what);  // "dsq-not-consumed"; "stall" of kUnknown
std::string_view stall_advice(StallClass what);      // what usually mends it; empty: nothing is known

enum class WaitIn : uint8_t { kUnknown, kScheduler, kNoDsq, kUserDsq, kGlobalDsq, kLocalDsq, kBypassDsq };
enum class CpuDoes : uint8_t { kUnknown, kIdle, kExt, kFair, kRealTime, kDeadline, kStop, kOther };

struct CpuFact {
  unsigned cpu = 0;
  CpuDoes does = CpuDoes::kUnknown;
  std::string curr;  // "data-loop.0[5834]"
  int pid = 0;       // of it
};

struct StallFacts {
  std::string comm;
  int pid = 0;
  uint64_t waited_ns = 0;        // 0: not told
  bool watchdog_itself = false;  // "watchdog failed to check in": no task is named
  bool dumped = false;           // the dump shows the task
  bool any_dump = false;         // there is a dump, with or without it
  WaitIn where = WaitIn::kUnknown;
  uint64_t dsq = 0;               // where it is kUserDsq, kGlobalDsq, kLocalDsq, kBypassDsq
  size_t in_same_dsq = 0;         // tasks in that DSQ, as far as the text shows
  int rq_cpu = -1;                // run queue it is on; -1: not told
  std::vector<unsigned> allowed;  // CPUs that it may run on; empty: not told
  bool migration_disabled = false;
  std::vector<CpuFact> cpus;  // those that the text shows
  size_t others_waiting = 0;  // other tasks that have waited for a second or longer
};

// From the dump's text. `pid` 0: the task that waits longest.
StallFacts stall_facts(const ScxDump* dump, std::string_view comm, int pid, uint64_t waited_ns);

struct StallVerdict {
  StallClass what = StallClass::kUnknown;
  std::string sentence;  // "clang[9] not run for 6.7 s; it waits in DSQ 0x0 while …"
  std::vector<std::string> evidence;
  std::vector<std::string> lacks;  // what would decide it, and is not there
  std::string signature;           // without numbers and names
};
StallVerdict classify_stall(const StallFacts& facts);

// CPU that a per-CPU kernel thread is bound to, by its name: "kworker/10:1", "ksoftirqd/2". -1: it is none.
int bound_by_name(std::string_view comm);

}  // namespace ktstr
