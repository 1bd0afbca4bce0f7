// What the lines of a fault tell: task, CPU, taint, registers, locks, and what each kind adds.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/numbers.h"
#include "base/prefix_set.h"
#include "base/text.h"
#include "schemas/crash_generated.h"
#include "scx/kernel_fault_parser.h"
#include "scx/kernel_fault_words.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

std::string_view word_after(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = trim(text.substr(at + key.size()));
  return rest.substr(0, rest.find(' '));
}

int number_after(std::string_view text, std::string_view key, int none) {
  std::string_view word = word_after(text, key);
  word = word.substr(0, std::min(word.find_first_not_of("0123456789"), word.size()));
  return parse_number<int>(word).value_or(none);
}

// "Comm: scx_simple Tainted: G        W          6.8.0-rc6 #2", "Comm: x Not tainted 7.3.4 #1 PREEMPT(lazy)".
void take_comm(std::string_view text, KernelFaultT& fault) {
  const size_t at = text.find("Comm: ");
  if (at == std::string_view::npos) return;
  const std::string_view comm = text.substr(at + 6);
  size_t end = std::string_view::npos;
  for (std::string_view mark : {" Not tainted", " Tainted: ", " Kdump: loaded"})
    end = std::min(end, comm.find(mark));
  fault.task_comm = clip_word(trim(comm.substr(0, end)));
}

// "Not tainted 6.7.0 #7", "Tainted: G        W          6.8.0 #2", as the CPU line, lockdep and hung tasks have it.
bool take_taint(std::string_view text, KernelFaultT& fault) {
  const size_t clean = text.find("Not tainted");
  const size_t tainted = text.find("Tainted: ");
  if (clean == std::string_view::npos && tainted == std::string_view::npos) return false;
  std::string_view rest =
      clean != std::string_view::npos ? text.substr(clean + 11) : text.substr(tainted + 9);
  std::string taint;
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (word.empty()) break;
    if (is_digit(word.front())) {
      if (fault_has(word, ".") && fault.kernel.empty()) fault.kernel = clip_word(word, 128);
      break;
    }
    // "G S         OE": one letter a flag, at its own place.
    if (word.size() > 20 ||
        !std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
      break;
    taint += word;
    rest.remove_prefix(word.size());
  }
  if (clean == std::string_view::npos && fault.taint.empty()) fault.taint = taint.substr(0, 32);
  return true;
}

// "(&rq->__lock){?.-.}-{2:2}, at: raw_spin_rq_lock_nested+0x2c/0x50": the name of the lock. Empty: not such a line.
std::string_view lock_name(std::string_view text) {
  const size_t close = text.find("){");
  const size_t open = text.find('(');
  if (close == std::string_view::npos || open == std::string_view::npos || open > close ||
      !fault_has(text, "}"))
    return {};
  return text.substr(open + 1, close - open - 1);
}

}  // namespace

bool KernelFaultParser::take_detail(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  if (text == "Call Trace:" || text == "Call trace:") {
    const bool of_task = (fault.kind == FaultKind::HungTask || fault.kind == FaultKind::RcuStall) &&
                         !fault.tasks.empty() && fault.tasks.back()->backtrace.empty() && in_ != In::kTrace &&
                         !in_locks_;
    if (of_task) {
      in_ = In::kTaskTrace;
    } else if (!traced_) {
      in_ = In::kTrace;
    }
    return true;
  }
  if (text == "<TASK>" || text == "<IRQ>" || text == "<NMI>") {
    if (!traced_) in_ = In::kTrace;
    return true;
  }
  if (take_task_line(text) || take_cpu_line(text) || take_register(text) || take_lock_line(text) ||
      take_kind_detail(text))
    return true;
  // Frames whose "Call Trace:" was cut off. Lockdep's and the sanitizers' reports have other stacks too.
  const bool bare = fault.kind == FaultKind::Warning || fault.kind == FaultKind::Oops ||
                    fault.kind == FaultKind::KernelBug || fault.kind == FaultKind::Panic ||
                    fault.kind == FaultKind::OtherBug || fault.kind == FaultKind::ListCorruption;
  const bool of_task =
      !fault.tasks.empty() && !fault.tasks.back()->state.empty() && fault.tasks.back()->backtrace.empty();
  if ((bare && !traced_) || of_task) {
    if (auto frame = parse_trace_frame(text)) {
      in_ = of_task ? In::kTaskTrace : In::kTrace;
      place(std::move(*frame));
      return true;
    }
  }
  static const PrefixSet kKnown = {
      "Hardware name:", "Modules linked in:", "Code: ", "Tainted: [", "#PF:", "PGD ",
      "RSP: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "FS: ", "CS: ", "CR2: ", "DR0: ", "DR3: ",
      "PKRU: ", "CR0: ", "lr : ", "sp : ", "pstate: ", "Mem abort info:", "ESR = ", "EC = ", "SET = ",
      "EA = ", "FSC = ", "Data abort info:", "ISV = ", "CM = ", "GCS = ", "swapper pgtable",
      "irq event stamp", "hardirqs last ", "softirqs last ", "stack backtrace:", "other info that",
      "which lock already", "the existing dependency", "Possible unsafe locking", "*** DEADLOCK ***", "CPU0 ",
      "----", "lock(", "-> #", "rcu_scheduler_active", "{",
      "x29:", "x28:", "x26:", "x23:", "x20:", "x17:", "x14:", "x11:", "x8 :", "x5 :", "x2 :", "user pgtable",
      // riscv, powerpc, s390, loongarch
      "ra : ", "epc : ", "gp : ", "t0 : ", "s2 : ", "a0 : ", "status: ", "Faulting instruction address",
      "LE PAGE_SIZE=", "BE PAGE_SIZE=", "NIP: ", "REGS: ", "MSR: ", "CFAR: ", "GPR", "LR [",
      "Failing address:", "Fault in ", "AS:", "R:0 T:1", "Krnl ", "Last Breaking-Event", "pc 9",
      "ra: ", "CRMD: ", "PRMD: ", "EUEN: ", "ECFG: ", "ESTAT: ", "BADV: ", "PRID: "};
  return kKnown.begins(text);
}

bool KernelFaultParser::take_cpu_line(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  if (text.starts_with("Sched_ext: ")) {
    // "Sched_ext: NAME (enabled+all), task: runnable_at=-7ms"
    const size_t open = text.find(" (");
    const size_t close = text.find(')', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos || !fault.ops_name.empty())
      return true;
    fault.ops_name = clip_word(text.substr(11, open - 11), 128);
    fault.ops_state = clip_word(text.substr(open + 2, close - open - 2), 64);
    return true;
  }
  if (text.starts_with("Workqueue: ")) {
    std::string_view work = trim(text.substr(11));
    const size_t blank = work.find(' ');
    if (blank == std::string_view::npos) return true;
    work = trim(work.substr(blank));
    work = work.substr(0, work.find(' '));
    std::string& to =
        !fault.tasks.empty() && measures_time(fault.kind) ? fault.tasks.back()->work : fault.work;
    if (to.empty()) to = clip_word(work, 128);
    return true;
  }
  if (text.starts_with("NMI backtrace for cpu ")) {
    if (fault.cpu < 0) fault.cpu = number_after(text, "for cpu ", -1);
    return true;
  }
  if (!text.starts_with("CPU: ") || !fault_has(text, "Comm: ")) {
    // lockdep: "7.0.0-work-08607 #423 Not tainted"; hung task: "Not tainted 6.7.0 #7".
    if (!fault_has(text, "ainted") || text.starts_with("Tainted: [")) return false;
    if (fault.kernel.empty() && is_digit(text.front()))
      fault.kernel = clip_word(text.substr(0, text.find(' ')), 128);
    return take_taint(text, fault);
  }
  if (fault.task_comm.empty() || fault.kind == FaultKind::Warning || fault.kind == FaultKind::Oops) {
    if (fault.cpu < 0) fault.cpu = number_after(text, "CPU: ", -1);
    if (fault.task_comm.empty()) {
      fault.task_pid = number_after(text, "PID: ", 0);
      take_comm(text, fault);
    }
  } else if (fault.cpu < 0) {
    fault.cpu = number_after(text, "CPU: ", -1);
  }
  take_taint(text, fault);
  return true;
}

// "RIP: 0010:scx_ops_disable_workfn+0x85/0x610", "pc : string+0x5c/0x118"
bool KernelFaultParser::take_register(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  std::string_view where;
  if (text.starts_with("RIP: 0010:")) {
    where = text.substr(10);
  } else if (text.starts_with("pc : ")) {
    where = text.substr(5);
  } else if (text.starts_with("epc : ") && text.find('+') != std::string_view::npos) {
    where = text.substr(6);  // riscv; the next line has the address alone
  } else if (text.starts_with("NIP [")) {
    where = trim(text.substr(std::min(text.find(']') + 1, text.size())));  // powerpc
  } else if (text.starts_with("ERA: ")) {
    where = trim(text.substr(std::min(text.find(' ', 5), text.size())));  // loongarch
  } else if (text.starts_with("Krnl PSW : ")) {
    where = text.substr(std::min(text.find('(') + 1, text.size()));  // s390
    where = where.substr(0, where.find(')'));
  } else if (text.starts_with("RIP: ")) {
    return true;  // user space
  } else {
    if (fault_has(text, "supervisor instruction fetch") && fault.title == "NULL pointer dereference")
      fault.jump_to_null = true;
    return false;
  }
  if (fault.kind == FaultKind::HungTask || !fault.backtrace.empty()) {
    // Decoded text: the inlined functions come first, each with its own line.
    if (fault.backtrace.empty() || !fault.backtrace.back()->inlined || in_ != In::kDetail) return true;
  }
  if (where.starts_with("0x0") && (where.size() == 3 || where[3] == ' ')) fault.jump_to_null = true;
  auto frame = parse_trace_frame(where);
  if (!frame) return true;
  if (!frame->inlined &&
      (fault.kind == FaultKind::Oops || fault.kind == FaultKind::KernelBug || fault.function.empty()))
    fault.function = frame->function;
  fault.backtrace.push_back(std::make_unique<ChainFrameT>(std::move(*frame)));
  return true;
}

// "task:scx_simple      state:D stack:0     pid:3632  tgid:3632  ppid:3619   flags:0x00004002"
bool KernelFaultParser::take_task_line(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  if (!text.starts_with("task:") || !fault_has(text, " state:")) return false;
  if (!measures_time(fault.kind)) return true;
  const size_t state_at = text.find(" state:");
  const std::string comm = clip_word(trim(text.substr(5, state_at - 5)));
  const int pid = number_after(text, " pid:", 0);
  const bool same =
      !fault.tasks.empty() && fault.tasks.back()->pid == pid && fault.tasks.back()->backtrace.empty();
  if (!same) {
    if (fault.tasks.size() >= kMaxTasks) {
      in_ = In::kDetail;
      return true;
    }
    auto task = std::make_unique<BlockedTaskT>();
    task->comm = comm;
    task->pid = pid;
    fault.tasks.push_back(std::move(task));
  }
  fault.tasks.back()->state = clip_word(text.substr(state_at + 7, 1));
  in_ = In::kDetail;
  return true;
}

bool KernelFaultParser::take_lock_line(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  // lockdep's list: "2 locks held by scx_simple/3632:" and " #0: ADDR (LOCK){++++}-{0:0}, at: function+0x1/0x2".
  if (const size_t held = text.find(" held by ");
      held != std::string_view::npos && text.ends_with(":") && is_digit(text.front())) {
    std::string_view name = text.substr(held + 9);
    name.remove_suffix(1);
    in_locks_ = true;
    if (fault.kind != FaultKind::HungTask) return true;
    const auto who = parse_task_slash(name);
    if (!who) return true;
    auto same = [&](const auto& task) { return task->pid == who->pid; };
    auto at = std::find_if(fault.tasks.begin(), fault.tasks.end(), same);
    if (at == fault.tasks.end()) {
      if (fault.tasks.size() >= kMaxTasks) return true;
      auto task = std::make_unique<BlockedTaskT>();
      task->comm = clip_word(who->comm);
      task->pid = who->pid;
      fault.tasks.push_back(std::move(task));
    } else {
      std::rotate(at, at + 1, fault.tasks.end());  // the list's lines belong to the last one
    }
    return true;
  }
  const std::string_view name = lock_name(text);
  if (name.empty()) {
    if (fault.kind != FaultKind::Lockdep) return false;
    // "scx_enable_help/1907 is trying to lock:", "runner/96 [HC0[0]:SC0[0]:HE1:SE1] takes:"
    const size_t trying = std::min({text.find(" is trying to "), text.find(" [HC"), text.find(" is leaving "),
                                    text.find(" is freeing ")});
    if (trying != std::string_view::npos) {
      if (auto who = parse_task_slash(text.substr(0, trying)); who && fault.task_comm.empty()) {
        fault.task_comm = clip_word(who->comm);
        fault.task_pid = who->pid;
      }
      traps_follow_ = true;
      return true;
    }
    if (fault_has(text, "already holding") || fault_has(text, "this existing lock") ||
        fault_has(text, "other info that might")) {
      held_follows_ = fault_has(text, "holding");
      traps_follow_ = false;
      return true;
    }
    if (text.starts_with("inconsistent {")) {
      if (!fault_has(fault.message, "{"))
        fault.message = clip_word(fault.message + ": " + std::string(text), kMaxFaultMessage);
      return true;
    }
    return false;
  }
  if (fault.kind == FaultKind::HungTask) {
    if (in_locks_ && text.starts_with("#") && !fault.tasks.empty() && fault.tasks.back()->locks.size() < 16)
      fault.tasks.back()->locks.push_back(clip_word(name));
    return true;
  }
  if (fault.kind != FaultKind::Lockdep) return in_locks_;
  if (traps_follow_ && fault.lock.empty()) {
    fault.lock = clip_word(name);
    if (const size_t at = text.find("at: "); at != std::string_view::npos) {
      const std::string_view where =
          text.substr(at + 4, std::min(text.find(" but task", at), text.size()) - at - 4);
      if (auto frame = parse_trace_frame(where); frame && fault.function.empty())
        fault.function = frame->function;
    }
    traps_follow_ = false;
    held_follows_ = fault_has(text, "already holding");  // a paste without line breaks
  } else if (held_follows_ && fault.lock_held.empty()) {
    fault.lock_held = clip_word(name);
    held_follows_ = false;
  } else if (fault.lock.empty() && !traced_ && in_ == In::kDetail && !text.starts_with("#") &&
             !text.starts_with("-> #")) {
    fault.lock = clip_word(name);
  }
  return true;
}

bool KernelFaultParser::take_kind_detail(std::string_view text) {
  KernelFaultT& fault = open_->fault;
  switch (fault.kind) {
    case FaultKind::Kasan:
    case FaultKind::Kfence: {
      if (const size_t by = text.find(" by task "); by != std::string_view::npos && fault.task_comm.empty()) {
        if (auto who = parse_task_slash(trim(text.substr(by + 9)))) {
          fault.task_comm = clip_word(who->comm);
          fault.task_pid = who->pid;
        }
        fault.message = clip_word(fault.message + "; " + std::string(text.substr(0, text.find(" at addr"))),
                                  kMaxFaultMessage);
        return true;
      }
      if (fault.kind == FaultKind::Kfence && fault_has(text, " at 0x") && fault_has(text, "(in kfence-") &&
          !traced_) {
        in_ = In::kTrace;
        return true;
      }
      return text.starts_with("Allocated by") || text.starts_with("Freed by") ||
             text.starts_with("The buggy address") || text.starts_with("kfence-");
    }
    case FaultKind::Ubsan:
      if (!message_told_ && !is_rule(text) && !text.starts_with("CPU: ")) {
        fault.message = clip_word(fault.message + ": " + std::string(text), kMaxFaultMessage);
        message_told_ = true;
        return true;
      }
      return false;
    case FaultKind::SleepInAtomic:
      // "in_atomic(): 1, irqs_disabled(): 1, non_block: 0, pid: 1907, name: scx_simple"
      if (text.starts_with("in_atomic(): ") && fault.task_comm.empty()) {
        if (const size_t name = text.find("name: "); name != std::string_view::npos)
          fault.task_comm = clip_word(trim(text.substr(name + 6)));
        fault.task_pid = number_after(text, "pid: ", 0);
        return true;
      }
      return text.starts_with("preempt_count:") || text.starts_with("RCU nest depth") ||
             text.starts_with("INFO: lockdep");
    case FaultKind::Lockdep:
      // "kernel/sched/ext.c:123 suspicious rcu_dereference_check() usage!"
      if (!message_told_ && (text.ends_with("usage!") || text.ends_with("section!!"))) {
        const size_t colon = text.find(':');
        const std::string_view number =
            text.substr(colon == std::string_view::npos ? text.size() : colon + 1);
        if (const auto line = parse_number<uint32_t>(number.substr(0, number.find(' ')))) {
          fault.file = clip_word(text.substr(0, colon));
          fault.line = *line;
        }
        fault.message = clip_word(text, kMaxFaultMessage);
        message_told_ = true;
        return true;
      }
      return false;
    case FaultKind::HungTask:
      // "INFO: task a:1 is blocked on a mutex likely owned by task b:2.", "… but the owner is not found."
      if (const size_t on = text.find(" is blocked on a");
          on != std::string_view::npos && !fault.tasks.empty()) {
        BlockedTaskT& task = *fault.tasks.back();
        std::string_view what = trim(text.substr(on + 16));
        if (what.starts_with("n ")) what = trim(what.substr(2));
        task.blocked_on = clip_word(what.substr(0, what.find_first_of(" ,")), 64);
        const size_t owner = text.find("owned by task ");
        if (owner == std::string_view::npos) return true;
        std::string_view name = text.substr(owner + 14);
        name = name.substr(0, name.find(" <"));
        while (name.ends_with('.')) name.remove_suffix(1);
        if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
          task.owner_comm = clip_word(name.substr(0, colon));
          task.owner_pid = parse_number<int>(name.substr(colon + 1)).value_or(0);
        }
        return true;
      }
      if (text.starts_with("Showing all locks held")) return in_locks_ = true;
      return text.starts_with("\"echo 0 >");
    case FaultKind::WorkqueueLockup:
      // "    in-flight: 3442:bpf_map_free_deferred, 12:other"
      if (text.starts_with("in-flight: ")) {
        std::string_view work = text.substr(11);
        if (const size_t colon = work.find(':'); colon != std::string_view::npos)
          work = work.substr(colon + 1);
        if (fault.work.empty()) fault.work = clip_word(work.substr(0, work.find_first_of(" ,")), 128);
        return true;
      }
      return text.starts_with("Showing busy workqueues") || text.starts_with("workqueue ") ||
             text.starts_with("pwq ") || text.starts_with("pending: ") || text.starts_with("pool ") ||
             text.starts_with("Showing backtraces of running workers");
    case FaultKind::RcuStall: {
      std::string_view rest = text;
      if (rest.starts_with("rcu: ")) rest = trim(rest.substr(5));
      // "1-...!: (25906 ticks this GP) idle=…"
      const size_t dash = rest.find("-.");
      if (fault.cpu < 0 && dash != std::string_view::npos && dash > 0) {
        if (auto cpu = parse_number<int>(rest.substr(0, dash))) {
          fault.cpu = *cpu;
          return true;
        }
      }
      if (rest.starts_with("(t=") || fault_has(rest, "ticks this GP") || fault_has(rest, "starved for") ||
          rest.starts_with("(detected by ") || rest.starts_with("RCU grace-period") ||
          rest.starts_with("Sending NMI") || rest.starts_with("Unless ") ||
          rest.starts_with("Possible timer"))
        return true;
      if (text.starts_with("rcu: ")) return true;
      return false;
    }
    default:
      return false;
  }
}

}  // namespace ktstr
