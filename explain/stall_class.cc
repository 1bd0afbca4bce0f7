#include "explain/stall_class.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cpu_list.h"
#include "base/numbers.h"
#include "base/text.h"
#include "scx/constants.h"
#include "scx/scx_dump.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

std::string secs(uint64_t ns) { return fmt::format("{:.1f} s", static_cast<double>(ns) / 1e9); }

CpuDoes does_of(std::string_view sched_class, std::string_view curr) {
  if (sched_class.starts_with("ext_")) return CpuDoes::kExt;
  if (sched_class.starts_with("idle_")) return CpuDoes::kIdle;
  if (sched_class.starts_with("fair_")) return CpuDoes::kFair;
  if (sched_class.starts_with("rt_")) return CpuDoes::kRealTime;
  if (sched_class.starts_with("dl_")) return CpuDoes::kDeadline;
  if (sched_class.starts_with("stop_")) return CpuDoes::kStop;
  // The class is an address where its symbol is hidden; the idle task's name is told all the same.
  if (curr.starts_with("swapper/")) return CpuDoes::kIdle;
  return CpuDoes::kUnknown;
}

std::string_view class_words(CpuDoes does) {
  switch (does) {
    case CpuDoes::kIdle:
      return "idle";
    case CpuDoes::kExt:
      return "an ext task";
    case CpuDoes::kFair:
      return "a task of the fair class";
    case CpuDoes::kRealTime:
      return "a real-time task (rt_sched_class)";
    case CpuDoes::kDeadline:
      return "a deadline task (dl_sched_class)";
    case CpuDoes::kStop:
      return "a stopper thread";
    default:
      return "a task of an unknown class";
  }
}

bool above_ext(CpuDoes does) {
  return does == CpuDoes::kRealTime || does == CpuDoes::kDeadline || does == CpuDoes::kStop ||
         does == CpuDoes::kFair;
}

std::string cpu_words(const CpuFact& fact) {
  if (fact.does == CpuDoes::kIdle) return fmt::format("CPU {} is idle", fact.cpu);
  return fmt::format("CPU {} runs {}, {}", fact.cpu, fact.curr, class_words(fact.does));
}

std::string allowed_words(const StallFacts& f) {
  if (f.allowed.empty()) return "";
  return f.allowed.size() == 1 ? fmt::format("allowed on CPU {} only", f.allowed.front())
                               : fmt::format("allowed on CPUs {}", cpu_list(f.allowed));
}

std::string dsq_words(const StallFacts& f) {
  if (f.where == WaitIn::kLocalDsq)
    return f.rq_cpu >= 0 ? fmt::format("CPU {}'s local DSQ", f.rq_cpu) : std::string("a CPU's local DSQ");
  if (f.where == WaitIn::kGlobalDsq) return "the global DSQ";
  return dsq_name(f.dsq);
}

}  // namespace

std::string_view stall_class_name(StallClass what) {
  switch (what) {
    case StallClass::kUnknown:
      break;
    case StallClass::kDsqNotConsumed:
      return "dsq-not-consumed";
    case StallClass::kDsqNotServed:
      return "dsq-not-served";
    case StallClass::kDsqBusy:
      return "dsq-busy";
    case StallClass::kDsq:
      return "dsq";
    case StallClass::kLocalNoKick:
      return "local-no-kick";
    case StallClass::kLocalDsq:
      return "local-dsq";
    case StallClass::kNotKicked:
      return "not-kicked";
    case StallClass::kHeldByScheduler:
      return "held-by-scheduler";
    case StallClass::kOnNoDsq:
      return "on-no-dsq";
    case StallClass::kUserHalfAsleep:
      return "user-half-asleep";
    case StallClass::kDispatchMovesNothing:
      return "dispatch-moves-nothing";
    case StallClass::kStarvedInOrder:
      return "starved-in-order";
    case StallClass::kLocalDsqFirst:
      return "local-dsq-first";
    case StallClass::kCpuHeld:
      return "cpu-held";
    case StallClass::kCpuTaken:
      return "cpu-taken";
    case StallClass::kTimerStopped:
      return "timer-stopped";
    case StallClass::kSlowCallback:
      return "slow-callback";
    case StallClass::kWatchdogStarved:
      return "watchdog-starved";
    case StallClass::kBypass:
      return "bypass";
    case StallClass::kHost:
      return "host";
  }
  return "stall";
}

std::string_view stall_advice(StallClass what) {
  switch (what) {
    case StallClass::kDsqNotConsumed:
      return "have ops.dispatch of the task's CPUs move from that DSQ, or insert where an allowed CPU looks";
    case StallClass::kDsqNotServed:
      return "insert a task that is bound to one CPU where that CPU looks: its local DSQ or its own DSQ";
    case StallClass::kLocalNoKick:
      return "kick the CPU (scx_bpf_kick_cpu()) after an insert into its local DSQ from elsewhere";
    case StallClass::kNotKicked:
      return "kick an idle CPU (scx_bpf_kick_cpu()) after an insert from elsewhere, or insert where a "
             "running CPU looks";
    case StallClass::kHeldByScheduler:
      return "find the map or list that ops.enqueue put it in, and who takes it out";
    case StallClass::kUserHalfAsleep:
      return "wake the user half when a task is handed to it, and let the kernel half place tasks when no "
             "answer comes";
    case StallClass::kDispatchMovesNothing:
      return "look at the conditions under which ops.dispatch returns without moving a task";
    case StallClass::kStarvedInOrder:
      return "bound how far a task's vtime may fall behind the others', and charge every task that runs";
    case StallClass::kLocalDsqFirst:
      return "tasks in a local DSQ run before those of every other DSQ: keep it short, and let ops.dispatch "
             "choose";
    case StallClass::kCpuHeld:
      return "give tasks a finite slice, or preempt the CPU (scx_bpf_kick_cpu() with SCX_KICK_PREEMPT) when "
             "another "
             "task waits for it";
    case StallClass::kCpuTaken:
      return "requeue what waits on a CPU that a higher class takes (ops.cpu_release(), "
             "scx_bpf_reenqueue_local())";
    case StallClass::kTimerStopped:
      return "start the timer again on every way out of its callback";
    case StallClass::kSlowCallback:
      return "bound the work of one call of that callback";
    case StallClass::kWatchdogStarved:
      return "serve kernel threads, kworkers above all, as soon as anybody: the watchdog is one of them";
    default:
      return "";
  }
}

int bound_by_name(std::string_view comm) {
  static constexpr std::string_view kPerCpu[] = {"kworker/",  "ksoftirqd/",   "migration/",   "cpuhp/",
                                                 "rcuc/",     "irq_work/",    "idle_inject/", "rcuop/",
                                                 "watchdog/", "backlog_napi/"};
  for (std::string_view name : kPerCpu) {
    if (!comm.starts_with(name) || name == "rcuop/") continue;
    std::string_view digits = comm.substr(name.size());
    const size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
    // "kworker/u64:4" is bound to no CPU.
    if (auto cpu = parse_number<int>(digits.substr(0, end))) return *cpu;
  }
  return -1;
}

StallFacts stall_facts(const ScxDump* dump, std::string_view comm, int pid, uint64_t waited_ns) {
  StallFacts f;
  f.comm = comm;
  f.pid = pid;
  f.waited_ns = waited_ns;
  if (!dump) return f;
  f.any_dump = !dump->tasks().empty() || !dump->cpus().empty();
  for (const DumpCpu& cpu : dump->cpus()) {
    CpuFact fact;
    fact.cpu = static_cast<unsigned>(std::max(cpu.cpu, 0));
    fact.curr = cpu.curr;
    if (auto who = parse_task_name(cpu.curr)) fact.pid = who->pid;
    fact.does = does_of(cpu.fields.get("class"), cpu.curr);
    if (fact.does == CpuDoes::kUnknown && fact.pid != 0) {
      // A current task that the dump lists as one of sched_ext's own.
      if (const DumpTask* task = dump->find(fact.pid); task && task->current) fact.does = CpuDoes::kExt;
    }
    f.cpus.push_back(std::move(fact));
  }
  const DumpTask* task = pid != 0 ? dump->find(pid) : nullptr;
  if (pid == 0) {
    for (const DumpTask& t : dump->tasks())
      if (!t.current && (!task || t.runnable_ms < task->runnable_ms)) task = &t;
  }
  for (const DumpTask& t : dump->tasks())
    if (!t.current && t.runnable_ms <= -1000 && &t != task) ++f.others_waiting;
  if (!task) return f;
  f.dumped = true;
  f.comm = task->comm;
  f.pid = task->pid;
  f.rq_cpu = task->cpu;
  if (f.waited_ns == 0 && task->runnable_ms < 0)
    f.waited_ns = static_cast<uint64_t>(-task->runnable_ms) * 1'000'000;
  f.allowed = parse_cpu_mask(task->fields.get("cpus"));
  const std::string_view no_mig = task->fields.get("no_mig");
  f.migration_disabled = !no_mig.empty() && no_mig != "0";
  const auto id = parse_number(task->dsq(), 0);
  if (id) {
    f.dsq = *id;
    f.where = WaitIn::kUserDsq;
    if (*id == kScxDsqGlobal) f.where = WaitIn::kGlobalDsq;
    if (*id == kScxDsqBypass) f.where = WaitIn::kBypassDsq;
    if (*id == kScxDsqLocal) f.where = WaitIn::kLocalDsq;
    if ((*id & kScxDsqLocalOn) == kScxDsqLocalOn) {
      f.where = WaitIn::kLocalDsq;
      f.rq_cpu = static_cast<int>(*id & kScxDsqCpuMask);
    }
    for (const DumpTask& t : dump->tasks())
      if (t.dsq() == task->dsq() && (f.where != WaitIn::kLocalDsq || t.cpu == task->cpu)) ++f.in_same_dsq;
  } else if (task->held_by_scheduler()) {
    f.where = WaitIn::kScheduler;
  } else if (!task->fields.get("ops_state/qseq").empty()) {
    f.where = WaitIn::kNoDsq;
  }
  return f;
}

StallVerdict classify_stall(const StallFacts& f) {
  StallVerdict v;
  const std::string span = f.waited_ns ? secs(f.waited_ns) : "too long";
  if (f.watchdog_itself) {
    v.what = StallClass::kWatchdogStarved;
    v.sentence = fmt::format(
        "the watchdog itself was not run for {}: no single task is to blame, every runnable task may be "
        "starved",
        span);
    v.evidence.push_back(
        "the watchdog's worker did not check in; the task that the kernel names only noticed it in its tick");
    if (f.others_waiting)
      v.evidence.push_back(
          fmt::format("{} tasks of the dump have waited for a second or longer", f.others_waiting));
    if (!f.any_dump) v.lacks.push_back("the dump's CPUs and tasks: which tasks waited");
    v.signature = "stall: watchdog failed to check in";
    return v;
  }
  const int bound = f.allowed.size() == 1 ? static_cast<int>(f.allowed.front()) : bound_by_name(f.comm);
  const bool per_cpu = bound_by_name(f.comm) >= 0;
  const std::string kthread = per_cpu ? ", per-CPU kthread" : "";
  std::string who = f.comm.empty() ? "a task" : fmt::format("{}[{}]", f.comm, f.pid);
  if (!f.allowed.empty()) {
    who += fmt::format(" ({})", allowed_words(f));
  } else if (per_cpu) {
    who += fmt::format(" (a per-CPU kernel thread, bound to CPU {} by its name)", bound);
  }
  const std::string head = fmt::format("{} was not run for {}", who, span);
  if (!f.dumped) {
    v.sentence = head;
    v.lacks.push_back(f.any_dump ? "the stuck task is not in what the text has of the dump"
                                 : "the dump: where the task waited and what its CPUs did");
    v.signature = "stall" + kthread;
    return v;
  }
  // What the CPUs do that it may run on.
  auto is_allowed = [&](unsigned cpu) {
    return f.allowed.empty() || std::find(f.allowed.begin(), f.allowed.end(), cpu) != f.allowed.end();
  };
  const CpuFact* own = nullptr;
  const CpuFact* idle = nullptr;
  size_t shown = 0, busy = 0, busy_ext = 0;
  for (const CpuFact& cpu : f.cpus) {
    if (static_cast<int>(cpu.cpu) == f.rq_cpu) own = &cpu;
    if (!is_allowed(cpu.cpu)) continue;
    ++shown;
    if (cpu.does == CpuDoes::kIdle && !idle) idle = &cpu;
    if (cpu.does == CpuDoes::kExt) ++busy_ext;
    if (cpu.does != CpuDoes::kIdle && !cpu.curr.empty()) ++busy;
  }
  const CpuFact* target = own;  // the CPU that counts: its own, or the only one it may run on
  if (f.allowed.size() == 1)
    for (const CpuFact& cpu : f.cpus)
      if (cpu.cpu == f.allowed.front()) target = &cpu;
  if (target && target->does == CpuDoes::kUnknown && target->curr.empty())
    target = nullptr;  // its line is cut
  if (f.cpus.empty()) v.lacks.push_back("the CPUs' lines of the dump: what the CPUs did meanwhile");
  if (f.migration_disabled) v.evidence.push_back("its migration is disabled (no_mig)");
  if (f.others_waiting)
    v.evidence.push_back(fmt::format("{} other tasks have waited for a second or longer", f.others_waiting));

  const bool taken = target && above_ext(target->does) && !idle;
  if (taken && f.where != WaitIn::kBypassDsq) {
    v.what = StallClass::kCpuTaken;
    v.sentence = fmt::format("{}; {}, which the scheduler cannot preempt", head, cpu_words(*target));
    if (f.where == WaitIn::kScheduler)
      v.evidence.push_back(
          "the scheduler still holds it (ops_state QUEUED, on no DSQ): nothing moved it to another CPU");
    if (f.where == WaitIn::kLocalDsq) v.evidence.push_back(fmt::format("it is in {}", dsq_words(f)));
    v.signature = fmt::format("stall: CPU taken by {} class", target->does == CpuDoes::kRealTime   ? "RT"
                                                              : target->does == CpuDoes::kDeadline ? "DL"
                                                              : target->does == CpuDoes::kStop     ? "stop"
                                                                                                   : "fair");
    return v;
  }
  switch (f.where) {
    case WaitIn::kScheduler:
    case WaitIn::kNoDsq: {
      v.what = f.where == WaitIn::kScheduler ? StallClass::kHeldByScheduler : StallClass::kOnNoDsq;
      v.sentence =
          fmt::format("{}; it is {}{}", head,
                      f.where == WaitIn::kScheduler
                          ? "in the scheduler's hands (QUEUED: enqueued, never dispatched) and on no DSQ"
                          : "on no DSQ, and not marked as queued",
                      idle ? fmt::format(" while CPU {} is idle", idle->cpu) : "");
      v.signature = f.where == WaitIn::kScheduler ? "stall: QUEUED on no DSQ" : "stall: on no DSQ";
      return v;
    }
    case WaitIn::kLocalDsq: {
      const bool on_idle = target && target->does == CpuDoes::kIdle;
      v.what = on_idle ? StallClass::kLocalNoKick : StallClass::kLocalDsq;
      v.sentence = on_idle ? fmt::format("{}; it lies in {}, CPU {} is idle: the CPU was not kicked", head,
                                         dsq_words(f), target->cpu)
                           : fmt::format("{}; it waits in {}{}", head, dsq_words(f),
                                         target ? " while " + cpu_words(*target) : "");
      v.signature = on_idle ? "stall: local DSQ of an idle CPU" : "stall: local DSQ of a busy CPU";
      if (!target) v.signature = "stall: local DSQ";
      return v;
    }
    case WaitIn::kBypassDsq:
      v.what = StallClass::kBypass;
      v.sentence = fmt::format("{}; it is in the kernel's bypass DSQ{}", head,
                               target ? ", " + cpu_words(*target) : "");
      v.evidence.push_back(
          "the kernel, not the scheduler, serves that DSQ; where the task waited before is not in the dump");
      v.signature = "stall: bypass DSQ";
      return v;
    case WaitIn::kUserDsq:
    case WaitIn::kGlobalDsq: {
      const std::string place = dsq_words(f);
      if (f.in_same_dsq > 1)
        v.evidence.push_back(fmt::format("{} tasks of the text are in {}", f.in_same_dsq, place));
      if (idle) {
        v.what = StallClass::kDsqNotConsumed;
        v.sentence = fmt::format(
            "{}; it waits in {} while CPU {}, which may run it, is idle: no allowed CPU consumes that DSQ",
            head, place, idle->cpu);
        v.signature = "stall: DSQ not consumed by an idle CPU" + kthread;
      } else if (f.allowed.size() == 1) {
        v.what = StallClass::kDsqNotServed;
        v.sentence = target
                         ? fmt::format("{}; it waits in {}, which its only CPU did not serve: {}", head,
                                       place, cpu_words(*target))
                         : fmt::format("{}; it waits in {}, which its only CPU did not serve", head, place);
        v.signature = target ? "stall: one allowed CPU, DSQ not consumed while it is busy"
                             : "stall: one allowed CPU, DSQ not consumed";
      } else if (shown > 0 && busy == shown) {
        v.what = StallClass::kDsqBusy;
        v.sentence = fmt::format("{}; it waits in {} while {} busy{}", head,
                                 f.where == WaitIn::kUserDsq ? "shared " + place : place,
                                 shown == 1 && f.cpus.size() == 1
                                     ? fmt::format("CPU {} (the only one in the text) is", f.cpus.front().cpu)
                                     : fmt::format("all {} CPUs of the text that it may use are", shown),
                                 busy_ext == shown ? " with ext tasks" : "");
        if (shown < f.allowed.size())
          v.lacks.push_back(fmt::format("{} of the {} CPUs that it may run on", f.allowed.size() - shown,
                                        f.allowed.size()));
        v.evidence.push_back(
            "others were served first: too much load for the watchdog's time, or an order that keeps it "
            "last");
        v.signature = "stall: shared DSQ, CPUs busy";
      } else {
        v.what = StallClass::kDsq;
        v.sentence =
            fmt::format("{}; it waits in {}{}", head, place, target ? " while " + cpu_words(*target) : "");
        v.signature = "stall: DSQ";
      }
      return v;
    }
    case WaitIn::kUnknown:
      break;
  }
  v.sentence = head + (target ? fmt::format("; {}", cpu_words(*target)) : "");
  v.lacks.push_back("the task's lines of the dump: where it waited");
  v.signature = "stall" + kthread;
  return v;
}

}  // namespace ktstr
