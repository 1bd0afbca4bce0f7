#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "explain/error_words.h"
#include "explain/explanation_parts.h"
#include "explain/hang_chain.h"
#include "scx/crash_frames.h"
#include "scx/crash_signature.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

// Helpers that work for everybody: the fault is in what their caller handed over.
bool is_library(std::string_view function) {
  function = base_function(function);
  static constexpr std::string_view kNames[] = {"string",
                                                "string_nocheck",
                                                "hex_string",
                                                "vsnprintf",
                                                "snprintf",
                                                "sprintf",
                                                "vscnprintf",
                                                "scnprintf",
                                                "pointer",
                                                "symbol_string",
                                                "number",
                                                "format_decode",
                                                "strlen",
                                                "strnlen",
                                                "strcmp",
                                                "strncmp",
                                                "strscpy",
                                                "memcpy",
                                                "__memcpy",
                                                "memcpy_orig",
                                                "memset",
                                                "__memset",
                                                "memcmp",
                                                "memmove",
                                                "__memmove",
                                                "rb_erase",
                                                "rb_insert_color",
                                                "rb_next",
                                                "rb_first",
                                                "__list_add",
                                                "llist_add_batch",
                                                "_raw_spin_lock",
                                                "_raw_spin_lock_irqsave",
                                                "_raw_spin_lock_irq",
                                                "_raw_spin_lock_bh",
                                                "queued_spin_lock_slowpath",
                                                "native_queued_spin_lock_slowpath",
                                                "refcount_warn_saturate",
                                                "kfree",
                                                "kmem_cache_free"};
  return std::find(std::begin(kNames), std::end(kNames), function) != std::end(kNames);
}

// The kernel's printing of numbers, strings and symbols.
bool is_formatting(std::string_view function) {
  function = base_function(function);
  static constexpr std::string_view kNames[] = {
      "string",        "string_nocheck",  "hex_string",       "vsnprintf",         "symbol_string",
      "sprint_symbol", "__sprint_symbol", "pointer",          "sprintf",           "number",
      "format_decode", "kallsyms_lookup", "sprint_backtrace", "__sprint_backtrace"};
  return std::find(std::begin(kNames), std::end(kNames), function) != std::end(kNames);
}

std::string module_of(const ChainFrameT& frame) {
  const size_t open = frame.raw.find(" [");
  if (open == std::string::npos) return {};
  std::string name = frame.raw.substr(open + 2);
  name = name.substr(0, name.find_first_of(" ]"));
  return name == "inline" ? "" : name;
}

struct FaultPlace {
  std::string inner;   // where the kernel was
  std::string caller;  // whose fault it rather is; empty: the same
  std::string module;
};

FaultPlace fault_place(const KernelFaultT& fault) {
  FaultPlace place;
  place.inner = base_function(fault.function);
  auto telling = [](std::string_view f) { return frame_noise(f).empty() && !is_library(f); };
  for (const auto& frame : fault.backtrace) {
    if (frame->uncertain) continue;
    if (place.module.empty()) place.module = module_of(*frame);
    if (place.inner.empty() && frame_noise(frame->function).empty())
      place.inner = base_function(frame->function);
    if (place.caller.empty() && telling(frame->function)) place.caller = base_function(frame->function);
  }
  if (!place.inner.empty() && telling(place.inner)) place.caller.clear();
  if (place.caller == place.inner) place.caller.clear();
  return place;
}

// Whose call led to it, when the place itself is no part of sched_ext: the scheduler's innermost function, else sched_ext's.
struct SchedulerPart {
  std::string text;      // ", called by cosmos_enqueue"; empty: none
  std::string function;  // of the scheduler or of sched_ext; empty: the place says it
};
SchedulerPart scheduler_part(const std::vector<ChainFrameT>& frames, const FaultPlace& place) {
  SchedulerPart part;
  const std::string& at = place.caller.empty() ? place.inner : place.caller;
  const std::string* own = nullptr;
  const std::string* kernel = nullptr;
  for (const ChainFrameT& frame : frames) {
    if (frame.uncertain) continue;
    if (!frame.tag.empty() && frame_noise(frame.function).empty() && !own) own = &frame.function;
    if (frame.tag.empty() && !kernel && mentions(frame.function, "scx_") &&
        frame_noise(frame.function).empty())
      kernel = &frame.function;
  }
  const bool is_own = mentions(at, "scx") || mentions(at, "sched_ext");
  if (own && *own != at) {
    part.text = fmt::format(", called by {}", base_function(*own));
  } else if (!own && kernel && !is_own) {
    part.text = fmt::format(", reached from {}", base_function(*kernel));
  }
  if (!is_own && !part.text.empty()) part.function = base_function(own ? *own : *kernel);
  return part;
}

// "&sb->s_type->i_mutex_key#19": the number of a lock's class differs from boot to boot.
std::string lock_class(std::string_view lock) {
  size_t end = lock.rfind('#');
  if (end == lock.npos || end + 1 == lock.size() ||
      lock.find_first_not_of("0123456789", end + 1) != lock.npos)
    end = lock.size();
  return std::string(lock.substr(0, end));
}

std::string_view seconds_stuck(std::string_view message) { return number_at(message, "stuck for "); }

std::string on_task(const KernelFaultT& fault) {
  std::string text;
  if (!fault.task_comm.empty()) text = fmt::format("{}[{}]", fault.task_comm, fault.task_pid);
  if (fault.cpu >= 0) text += fmt::format("{}CPU {}", text.empty() ? "" : " on ", fault.cpu);
  return text;
}

void hung(const KernelFaultT& fault, Explanation& out) {
  const HangChain chain = hang_chain(fault);
  out.cls = "hung-task";
  std::set<std::string> functions, own;
  std::string text;
  bool linked = false;
  for (size_t i = 0; i < chain.tasks.size(); ++i) {
    const HangTask& task = chain.tasks[i];
    if (!task.function.empty()) functions.insert(task.function);
    if (mentions(task.function, "scx_") || mentions(task.function, "sched_ext")) own.insert(task.function);
    linked = linked || task.waits_for >= 0;
    if (i >= 6) continue;
    const bool waits_before = i > 0 && task.waits_for >= 0 && static_cast<size_t>(task.waits_for) < i;
    text += i == 0 ? "" : waits_before ? " ← " : ", ";
    text += task.comm;
    if (!task.function.empty()) text += fmt::format(" (in {})", task.function);
    if (!task.wants.empty() && task.waits_for >= 0)
      out.evidence.push_back(
          fmt::format("{}[{}] waits for {}, which {} {}", task.comm, task.pid, task.wants,
                      chain.tasks[static_cast<size_t>(task.waits_for)].comm,
                      task.told ? "holds, as the kernel says" : "holds or has to serve, by its stack"));
  }
  if (chain.tasks.size() > 6) text += fmt::format(", and {} more", chain.tasks.size() - 6);
  unsigned longest = 0;
  for (const auto& task : fault.tasks) longest = std::max(longest, task->seconds);
  out.summary =
      fmt::format("hung: {}{}{}", text, longest ? fmt::format(", blocked for more than {} s", longest) : "",
                  chain.cycle ? ": a deadlock, each waits for the one before"
                  : linked    ? "; A ← B: B waits for A"
                              : "");
  if (!chain.tasks.empty()) {
    out.task = chain.tasks.front().comm;
    out.pid = chain.tasks.front().pid;
    out.function = chain.tasks.front().function;
  }
  if (functions.empty()) out.lacks.push_back("what the tasks wait in: their stacks end in the wait itself");
  if (!linked && fault.tasks.size() > 1)
    out.lacks.push_back(
        "who holds what they wait for (lockdep's list of held locks, or a kernel that names owners)");
  if (out.frames.empty() && !fault.tasks.empty()) put_frames(fault.tasks.front()->backtrace, out);
  // Any task that forks or takes the lock may be the victim: the functions of sched_ext name the bug.
  const std::set<std::string>& key = own.empty() ? functions : own;
  out.signature = "hung:";
  size_t n = 0;
  for (const std::string& function : key)
    if (++n <= 4) out.signature += " " + function;
  if (key.empty())
    out.signature += " " + (fault.tasks.empty() ? std::string("task")
                                                : normalize_crash_message(fault.tasks.front()->comm));
}

}  // namespace

void explain_fault(const Incident& in, Explanation& out) {
  const KernelFaultT& fault = in.fault;
  const FaultPlace place = fault_place(fault);
  put_frames(fault.backtrace, out);
  out.message = fault.message;
  out.task = fault.task_comm;
  out.pid = fault.task_pid;
  out.cpu = fault.cpu;
  out.file = fault.file;
  out.line = fault.line;
  out.ops = !fault.ops_name.empty() ? fault.ops_name : in.running_ops;
  out.function = place.caller.empty() ? place.inner : place.caller;
  const std::string source = fault.file.empty() ? "" : fmt::format(" ({}:{})", fault.file, fault.line);
  const std::string module = place.module.empty() ? "" : fmt::format(" [{}]", place.module);
  const std::string in_function = place.inner.empty() ? "" : fmt::format(" in {}{}", place.inner, module);
  const std::string by = place.caller.empty() ? "" : fmt::format(", called from {}", place.caller);
  if (const std::string task = on_task(fault); !task.empty() && fault.kind != FaultKind::HungTask)
    out.evidence.push_back("ran: " + task);
  if (!fault.ops_name.empty())
    out.evidence.push_back(fmt::format("scheduler {} was {}", fault.ops_name, fault.ops_state));
  if (fault.cut_head) out.lacks.push_back("its first line: what the kernel found");
  if (out.frames.empty() && fault.tasks.empty()) out.lacks.push_back("its call trace");
  const SchedulerPart part = scheduler_part(out.frames, place);
  if (out.file.empty() && !out.function.empty()) {
    for (const ChainFrameT& frame : out.frames) {
      if (frame.uncertain || frame.file.empty() || base_function(frame.function) != out.function) continue;
      out.file = frame.file;
      out.line = frame.line;
      break;
    }
  }
  bool sched_ext = false;
  for (const ChainFrameT& frame : out.frames)
    sched_ext = sched_ext || (!frame.uncertain && (mentions(frame.function, "scx") || !frame.tag.empty() ||
                                                   mentions(frame.function, "sched_ext")));
  sched_ext = sched_ext || mentions(place.inner, "scx");
  const bool fell =
      fault.kind == FaultKind::Oops || fault.kind == FaultKind::KernelBug || fault.kind == FaultKind::Panic;

  // Fell while it printed: the formatting of a symbol, with a backtrace unfinished or printk on the stack.
  bool formats = is_formatting(place.inner), prints = false;
  for (const ChainFrameT& frame : out.frames) {
    const std::string_view function = base_function(frame.function);
    formats = formats || (!frame.uncertain && is_formatting(function) && &frame == &out.frames.front());
    prints = prints || function.starts_with("_printk") || function.starts_with("vprintk") ||
             function.starts_with("printk") || function.starts_with("stack_trace_print") ||
             function.starts_with("sprint_symbol") || function.starts_with("__sprint_symbol");
  }
  if (fell && formats && (prints || in.interrupted || !in.interrupted_exit.empty())) {
    std::string what = "a message was printed";
    if (in.interrupted) {
      const FaultPlace before = fault_place(*in.interrupted);
      what = fmt::format(
          "the backtrace of a {} in {} was printed",
          in.interrupted->kind == FaultKind::Warning ? "warning" : fault_name(in.interrupted->kind),
          before.caller.empty() ? before.inner : before.caller);
    } else if (!in.interrupted_exit.empty()) {
      what = fmt::format("the backtrace of the exit \"{}\" was printed", in.interrupted_exit);
    }
    const bool symbol =
        certain_with(out.frames, "__sprint_symbol") || certain_with(out.frames, "sprint_symbol");
    out.cls = fault.panic.empty() ? "oops/printing" : "panic/printing";
    out.summary = fmt::format("kernel {} in {} while {}{}", fault.panic.empty() ? "oops" : "panic",
                              place.inner, what, symbol ? ": __sprint_symbol got a bad name" : "");
    if (symbol) out.function = "__sprint_symbol";
    out.evidence.push_back(fmt::format("{}: {}", fault_name(fault.kind), fault.message));
    if (!fault.panic.empty()) out.evidence.push_back("panic: " + fault.panic);
    out.advice =
        "the kernel's printing of a symbol read a bad name (a BPF program's, perhaps): see the message that "
        "was printed for the first cause";
    out.signature = "fault while a backtrace's symbol was formatted";
    return;
  }

  switch (fault.kind) {
    case FaultKind::Warning: {
      out.cls = "warning";
      const bool check = !place.caller.empty();
      out.summary = fmt::format("kernel warning ({}){}{}{}",
                                fault.panic.empty() ? "not fatal" : "then a panic: " + fault.panic,
                                check ? fmt::format(" in {}{}", place.caller, module) : in_function, source,
                                check ? fmt::format(", found by {}", place.inner) : "");
      out.summary += part.text;
      if (!fault.message.empty() && !fault.message.starts_with("WARNING:"))
        out.summary += ": " + fault.message;
      if (fault.panic.empty()) out.evidence.push_back("a WARN: the kernel went on");
      if (!sched_ext) out.evidence.push_back("no function of sched_ext or of a scheduler is in it");
      out.signature =
          "warning: " + (out.function.empty() ? normalize_crash_message(fault.message) : out.function);
      if (!part.function.empty()) out.signature += " < " + part.function;
      break;
    }
    case FaultKind::Oops:
    case FaultKind::KernelBug: {
      if (fault.title == "int3") {
        out.cls = "artefact";
        out.summary = fmt::format(
            "kernel oops: int3{} that no probe had set: a race of kernel text patching, as under emulation; "
            "an emulator artifact rather than the scheduler's fault",
            in_function);
        out.evidence.push_back("int3 is the byte that the kernel patches in while it rewrites its own code");
        out.signature = "artefact: int3 in kernel text";
        break;
      }
      out.cls = fault.panic.empty() ? "oops" : "panic";
      out.summary = fmt::format("kernel {}: {}{}{}{}", fault.panic.empty() ? "oops" : "panic", fault.title,
                                in_function, by, source);
      out.summary += part.text;
      if (fault.jump_to_null) out.evidence.push_back("the kernel jumped to address 0");
      if (!fault.panic.empty()) out.evidence.push_back("panic: " + fault.panic);
      out.evidence.push_back(fault.message);
      out.signature = fmt::format("oops: {}", out.function.empty() ? fault.title : out.function);
      if (out.function != place.inner && !place.inner.empty())
        out.signature += fmt::format(" > {}", place.inner);
      break;
    }
    case FaultKind::Panic: {
      std::string_view what = fault.message;
      if (const size_t at = what.find("not syncing: "); at != what.npos) what = what.substr(at + 13);
      const bool hard = mentions(lower(what), "hard lockup");
      out.cls = hard ? "hard-lockup" : "panic";
      // The trace begins with the panic's own functions.
      std::string where;
      for (const ChainFrameT& frame : out.frames)
        if (where.empty() && !frame.uncertain && frame_noise(frame.function).empty())
          where = base_function(frame.function);
      out.function = where;
      out.summary = fmt::format("kernel panic: {}{}{}{}", what,
                                fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "",
                                where.empty() ? "" : " in " + where, part.text);
      out.signature = "panic: " + normalize_crash_message(what);
      // Many bugs have the same last words.
      if (!where.empty()) out.signature += " @ " + where;
      if (hard) out.signature = "hard lockup";
      break;
    }
    case FaultKind::Lockdep: {
      out.cls = "lockdep";
      std::string via;
      for (const ChainFrameT& frame : out.frames)
        if (via.empty() && !frame.uncertain && mentions(frame.function, "scx"))
          via = base_function(frame.function);
      out.summary = fmt::format(
          "lockdep: {}{}{}{}", fault.title, fault.lock.empty() ? "" : ": " + fault.lock,
          fault.lock_held.empty() ? "" : fmt::format(", taken while {} is held", fault.lock_held),
          via.empty() || via == place.inner ? in_function : fmt::format("{}, from {}", in_function, via));
      if (!fault.file.empty()) out.summary += source;
      if (!via.empty()) out.function = via;
      if (!mentions(fault.message, fault.title) && !fault.message.empty())
        out.evidence.push_back(fault.message);
      out.signature = fmt::format("lockdep: {}: {}", fault.title,
                                  !fault.lock.empty() ? lock_class(fault.lock) : out.function);
      if (!fault.lock_held.empty()) out.signature += " under " + lock_class(fault.lock_held);
      break;
    }
    case FaultKind::Kasan:
    case FaultKind::Kfence:
      out.cls = fault.kind == FaultKind::Kasan ? "kasan" : "kfence";
      out.summary =
          fmt::format("{}: {}{}{}{}", fault_name(fault.kind), fault.title, in_function, by, part.text);
      out.evidence.push_back(fault.message);
      out.signature = fmt::format("{}: {}: {}", out.cls, fault.title, out.function);
      break;
    case FaultKind::Ubsan:
      out.cls = "ubsan";
      out.summary = fmt::format("UBSAN: {}{}{}", fault.title, in_function, source);
      out.evidence.push_back(fault.message);
      out.signature =
          fmt::format("ubsan: {}: {}", fault.title, out.function.empty() ? fault.file : out.function);
      break;
    case FaultKind::SleepInAtomic:
      out.cls = "sleep-in-atomic";
      out.summary = fmt::format("{}{}{}{}", fault.title, in_function, by, source);
      out.signature = fmt::format("{}: {}", fault.title, out.function.empty() ? fault.file : out.function);
      break;
    case FaultKind::ListCorruption:
      out.cls = "list-corruption";
      out.summary = fmt::format("{}{}{}", fault.title, in_function, by);
      out.evidence.push_back(fault.message);
      out.signature = fmt::format("{}: {}", fault.title, out.function);
      break;
    case FaultKind::HungTask:
      hung(fault, out);
      break;
    case FaultKind::RcuStall: {
      out.cls = "rcu-stall";
      const bool certain = std::any_of(out.frames.begin(), out.frames.end(),
                                       [](const ChainFrameT& f) { return !f.uncertain; });
      std::string where;
      for (const ChainFrameT& frame : out.frames)
        if (where.empty() && !frame.uncertain && frame_noise(frame.function).empty() &&
            !is_library(frame.function))
          where = base_function(frame.function);
      out.function = where;
      out.summary = fmt::format("RCU stall{}{}", fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "",
                                where.empty() ? "" : " in " + where);
      if (!out.frames.empty() && !certain) {
        out.summary += "; what it did is not known: every frame of its trace is uncertain (\"?\")";
        out.lacks.push_back("a certain frame of the CPU's stack");
      }
      out.signature = "rcu stall" + (where.empty() ? "" : ": " + where);
      break;
    }
    case FaultKind::SoftLockup:
    case FaultKind::HardLockup:
    case FaultKind::WorkqueueLockup: {
      out.cls = fault.kind == FaultKind::SoftLockup   ? "soft-lockup"
                : fault.kind == FaultKind::HardLockup ? "hard-lockup"
                                                      : "workqueue-lockup";
      const std::string fn = out.function;
      const std::string_view seconds = seconds_stuck(fault.message);
      std::string cpu = fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "";
      if (const size_t pool = fault.message.find("pool cpus="); pool != std::string::npos) {
        const std::string cpus =
            fault.message.substr(pool + 10, fault.message.find(' ', pool + 10) - pool - 10);
        cpu = fmt::format(" of CPU{} {}", fault.cpu >= 0 ? "" : "s", cpus);
      }
      out.summary = fmt::format(
          "{}{}{}{}{}{}{}", fault_name(fault.kind), cpu,
          seconds.empty() ? "" : fmt::format(", stuck for {} s", seconds), fn.empty() ? "" : " in " + fn,
          part.text,
          fault.task_comm.empty() ? "" : fmt::format(", task {}[{}]", fault.task_comm, fault.task_pid),
          fault.work.empty() ? "" : fmt::format("; in flight: {}", fault.work));
      if (!fault.panic.empty()) out.summary += "; panic: " + fault.panic;
      out.signature = std::string(fault_name(fault.kind)) + (fn.empty() ? "" : ": " + fn);
      if (fn.empty() && !fault.work.empty()) out.signature += ": " + fault.work;
      break;
    }
    case FaultKind::OtherBug:
      out.cls = "bug";
      out.summary = fmt::format(
          "{}{}{}{}",
          fault.cut_head ? "a fault of the kernel whose first line is cut off" : "kernel bug: " + fault.title,
          in_function, by, source);
      out.signature = fmt::format("bug: {}: {}", fault.cut_head ? "cut" : fault.title, out.function);
      break;
  }
  if (measures_time(fault.kind))
    out.evidence.push_back("it measures time: a machine that was not run shows it too");
  if (in.interrupted && fell && in.interrupted->kind == FaultKind::Warning) {
    const FaultPlace before = fault_place(*in.interrupted);
    out.evidence.push_back(fmt::format("it broke off the message of a warning in {}",
                                       before.caller.empty() ? before.inner : before.caller));
  }
}

}  // namespace ktstr
