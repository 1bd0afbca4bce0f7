#include "explain/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/numbers.h"
#include "base/text.h"
#include "explain/hang_chain.h"
#include "explain/stall_class.h"
#include "scx/constants.h"
#include "scx/crash_frames.h"
#include "scx/crash_signature.h"
#include "scx/scx_words.h"
#include "scx/stall.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool mentions(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

void put_frames(const std::vector<std::unique_ptr<ChainFrameT>>& frames, Explanation& out) {
  for (const auto& frame : frames) out.frames.push_back(*frame);
}

bool certain_with(const std::vector<ChainFrameT>& frames, std::string_view prefix) {
  return std::any_of(frames.begin(), frames.end(), [&](const ChainFrameT& f) {
    return !f.uncertain && base_function(f.function).starts_with(prefix);
  });
}

// --- errors that abort a scheduler

// ", woken from do_notify_parent in do_exit": who made select_cpu or enqueue run.
std::string waker(const std::vector<ChainFrameT>& frames) {
  static constexpr std::string_view kWake[] = {
      "try_to_wake_up",  "ttwu_",          "wake_up_",       "__wake_up", "default_wake_function",
      "autoremove_wake", "select_task_rq", "swake_up",       "pollwake",  "ep_poll_callback",
      "complete",        "futex_wake",     "hrtimer_wakeup", "wake_q",    "pick_",
      "activate_task"};
  bool woken = false;
  std::string from;
  for (const ChainFrameT& frame : frames) {
    const std::string_view function = base_function(frame.function);
    if (function == "try_to_wake_up") {
      woken = true;
      continue;
    }
    if (!woken || frame.uncertain || !frame_noise(function).empty()) continue;
    if (std::any_of(std::begin(kWake), std::end(kWake),
                    [&](std::string_view w) { return function.starts_with(w); }))
      continue;
    if (from.empty()) {
      from = fmt::format(", woken from {}", function);
    } else if (function == "do_exit") {
      return from + " in do_exit";
    }
  }
  return from;
}

// "-12": "ENOMEM, Cannot allocate memory".
std::string errno_words(int error) {
  const char* name = ::strerrorname_np(error);
  const char* what = ::strerrordesc_np(error);
  if (!name) return {};
  return what ? fmt::format("{}, {}", name, what) : std::string(name);
}

// What the numbers in a message mean: an errno, and an errno that was taken for an id.
std::string number_note(std::string_view message) {
  if (const size_t at = message.find("0xffffffff"); at != message.npos) {
    const size_t end = std::min(message.find_first_not_of("0123456789abcdefx", at), message.size());
    if (const auto value = parse_number(message.substr(at, end - at), 0);
        value && *value > UINT64_MAX - 4095) {
      const int error = static_cast<int>(UINT64_MAX - *value + 1);
      if (const std::string words = errno_words(error); !words.empty())
        return fmt::format(" [{} is -{}, {}: an error taken for an id]", message.substr(at, end - at), error,
                           words);
    }
  }
  if (!mentions(message, "fail") && !mentions(message, "return") && !mentions(message, "error") &&
      !mentions(message, "err"))
    return {};
  for (size_t at = message.find('-'); at != message.npos; at = message.find('-', at + 1)) {
    if (at > 0 && !std::strchr(" (=:", message[at - 1])) continue;
    std::string_view digits = message.substr(at + 1);
    digits = digits.substr(0, std::min(digits.find_first_not_of("0123456789"), digits.size()));
    const auto number = parse_number<int>(digits);
    if (!number || *number < 1 || *number > 4095) continue;
    if (const std::string words = errno_words(*number); !words.empty())
      return fmt::format(" [-{} is {}]", digits, words);
  }
  return {};
}

// "COMM[PID]" at the end of what stands before `mark`, after `lead`.
std::string task_between(std::string_view message, std::string_view lead, std::string_view mark) {
  const size_t begin = message.find(lead);
  if (begin == message.npos) return {};
  const std::string_view rest = message.substr(begin + lead.size());
  const size_t end = mark.empty() ? rest.size() : rest.find(mark);
  const auto task = parse_task_name(rest.substr(0, end));
  return task ? std::string(task->comm) : std::string(rest.substr(0, end));
}

std::string_view number_at(std::string_view message, std::string_view key) {
  const size_t at = message.find(key);
  if (at == message.npos) return {};
  const std::string_view rest = message.substr(at + key.size());
  return rest.substr(0, std::min(rest.find_first_not_of("0123456789"), rest.size()));
}

struct ErrorWords {
  std::string text;  // what the kernel's sentence means
  std::string task;  // whom it is about
};

// The sentences in which sched_ext says that a dispatch or a kfunc call was wrong, in words that name the culprit.
ErrorWords kernel_error(std::string_view message, const std::vector<ChainFrameT>& frames) {
  const bool deferred =
      certain_with(frames, "process_ddsp_deferred_locals") || certain_with(frames, "run_deferred");
  std::string_view callback;
  for (const ChainFrameT& frame : frames)
    if (callback.empty() && !frame.uncertain) callback = callback_called_by(frame.function);
  const std::string who = deferred           ? "a deferred direct dispatch"
                          : callback.empty() ? "the scheduler"
                                             : fmt::format("ops.{}", callback);
  constexpr std::string_view kDisabled = "cannot move migration disabled ";
  if (mentions(message, kDisabled)) {
    const std::string task = task_between(message, kDisabled, " from CPU ");
    return {fmt::format("{} put migration-disabled {} (on CPU {}) into CPU {}'s local DSQ", who, task,
                        number_at(message, " from CPU "), number_at(message, " to ")),
            task};
  }
  std::string low = lower(message);
  constexpr std::string_view kNotAllowed = " not allowed for ";
  if (const size_t at = low.find("target cpu "); at != low.npos && low.find(kNotAllowed, at) != low.npos) {
    const std::string task = task_between(message, kNotAllowed, "");
    return {fmt::format("{} put {} on CPU {}, which is {} allowed for it", who, task,
                        number_at(low, "target cpu "), deferred ? "not, or no longer," : "not"),
            task};
  }
  if (message.starts_with("called on a task not being operated on") && !frames.empty())
    return {fmt::format("{}() was called on a task that the callback was not given",
                        base_function(frames.front().function)),
            ""};
  if (const size_t at = message.find(" already direct-dispatched"); at != message.npos) {
    const auto task = parse_task_name(message.substr(0, at));
    const std::string name(task ? task->comm : message.substr(0, at));
    return {fmt::format("{} was dispatched twice: already direct-dispatched", name), name};
  }
  return {std::string(message), ""};
}

// "/home/u/build/scx_chaos-32c1…/out/scx_utils-bpf_h/lib/percpu.h:68: text": where, and the program that it was built for.
struct Placed {
  std::string file;
  uint32_t line = 0;
  std::string program;    // from the path: "scx_chaos"; empty: it does not say
  std::string_view rest;  // the message without its place
};
Placed placed(std::string_view message) {
  Placed out{.file = {}, .line = 0, .program = {}, .rest = message};
  const size_t end = message.find(": ");
  if (end == message.npos) return out;
  const std::string_view place = message.substr(0, end);
  const size_t colon = place.rfind(':');
  if (colon == place.npos || place.find(' ') != place.npos || place.find('.') == place.npos) return out;
  const auto line = parse_number<uint32_t>(place.substr(colon + 1));
  if (!line) return out;
  out.file = base_name(place.substr(0, colon));
  out.line = *line;
  out.rest = message.substr(end + 2);
  for (size_t at = place.find("/scx_"); at != place.npos; at = place.find("/scx_", at + 1)) {
    const std::string_view part = place.substr(at + 1, place.find('/', at + 1) - at - 1);
    const size_t dash = part.rfind('-');  // cargo: CRATE-HASH
    if (dash != part.npos && part.size() - dash > 8 && out.program.empty())
      out.program = part.substr(0, dash);
  }
  return out;
}

void explain_stall(const Incident& in, const CrashDetectedT& crash, Explanation& out) {
  const bool watchdog = mentions(crash.message, "watchdog failed to check in");
  StallFacts facts = stall_facts(in.dump.get(), crash.stall_task_comm, crash.stall_task_pid, crash.stall_ns);
  const bool told = !in.exit.reason.empty() || !in.exit.message.empty();
  std::string named;
  if (watchdog) {
    facts.watchdog_itself = true;
    const size_t at = crash.message.find(" for ");
    std::string_view time =
        at == std::string::npos ? std::string_view() : std::string_view(crash.message).substr(at + 5);
    time = time.substr(0, time.find('.'));
    facts.waited_ns = parse_number(time).value_or(0) * 1'000'000'000;
    facts.comm.clear();
    facts.pid = 0;
  } else if (crash.stall_task_pid != 0 && !facts.dumped && in.dump) {
    // The task that the kernel names is cut off; another that waits as long tells where tasks wait.
    StallFacts other = stall_facts(in.dump.get(), "", 0, 0);
    if (other.dumped && other.waited_ns >= 1'000'000'000) {
      named = fmt::format(
          "the kernel names {}[{}], not run for {:.1f} s, which is not in the text's part of the dump",
          crash.stall_task_comm, crash.stall_task_pid, static_cast<double>(crash.stall_ns) / 1e9);
      facts = std::move(other);
    }
  }
  StallVerdict verdict = classify_stall(facts);
  out.cls = "stall/" + verdict.name;
  if (verdict.name == "stall") out.cls = "stall";
  out.summary = "stall: " + verdict.sentence;
  out.signature = verdict.signature;
  out.task = facts.comm;
  out.pid = facts.pid;
  out.cpu = facts.rq_cpu;
  if (!named.empty()) out.evidence.push_back(std::move(named));
  for (auto& text : verdict.evidence) out.evidence.push_back(std::move(text));
  out.lacks = std::move(verdict.lacks);
  if (!told) out.lacks.push_back("the exit that the dump belongs to: its kind and its message");
  out.advice = std::move(verdict.advice);
  out.function.clear();
}

void explain_exit(const Incident& in, Explanation& out) {
  CrashDetectedT crash = to_crash(ScxWords::Error{in.exit, in.on_console ? "console" : "sched_ext_dump"});
  if (crash.ops_name.empty()) crash.ops_name = in.running_ops;
  out.ops = crash.ops_name;
  out.message = crash.message;
  put_frames(crash.backtrace, out);
  const std::string family(scheduler_family(out.ops));
  const bool told = in.exit.kind != 0 || !in.exit.reason.empty() || !in.exit.message.empty();
  if (!told) {
    const StallFacts facts = stall_facts(in.dump.get(), "", 0, 0);
    if (facts.dumped && facts.waited_ns >= 1'000'000'000) {
      explain_stall(in, crash, out);
    } else {
      out.cls = "fragment";
      out.summary =
          "a part of a sched_ext dump, without the exit that it belongs to; no task in it has waited for a "
          "second";
      out.signature = "fragment of a dump";
      out.task = facts.comm;
      out.pid = facts.pid;
      out.lacks.push_back("the dump's head: the exit's kind, message and backtrace");
    }
    if (!family.empty()) out.signature += " [" + family + "]";
    return;
  }
  if (is_stall(crash) || mentions(crash.message, "watchdog failed to check in")) {
    explain_stall(in, crash, out);
    if (!family.empty()) out.signature += " [" + family + "]";
    return;
  }
  const uint64_t kind = in.exit.known_kind();
  const bool by_bpf = kind == kScxExitErrorBpf;
  std::string head = !in.exit.reason.empty() ? in.exit.reason
                     : kind                  ? exit_kind_name(kind)
                                             : "scheduler error (its kind is cut off)";
  out.cls = by_bpf ? "error/bpf" : kind == kScxExitError ? "error/runtime" : "error/other";
  bool enabling = false;
  for (std::string_view function :
       {"scx_enable", "scx_ops_enable", "scx_root_enable", "scx_sub_enable", "bpf_scx_reg"})
    enabling = enabling || certain_with(out.frames, function);
  if (enabling) head += " while enabling";
  const Placed place = placed(crash.message);
  const std::string plain(place.rest);
  const ErrorWords words = by_bpf ? ErrorWords{plain, ""} : kernel_error(plain, out.frames);
  // The scheduler's part: from its innermost frame to the callback.
  const ChainFrameT* inner = nullptr;
  const ChainFrameT* callback = nullptr;
  for (const ChainFrameT& frame : out.frames) {
    if (frame.tag.empty() || frame.uncertain || frame_noise(frame.function) != "") {
      if (callback) break;
      continue;
    }
    if (!inner) inner = &frame;
    callback = &frame;
  }
  std::string where;
  if (inner) {
    out.function = base_function(inner->function);
    where = out.function;
    if (!inner->file.empty()) {
      out.file = inner->file;
      out.line = inner->line;
    }
    if (callback != inner) where += fmt::format(", called by {}", base_function(callback->function));
    where += waker(out.frames);
  } else {
    for (const ChainFrameT& frame : out.frames) {
      if (frame.uncertain || !frame_noise(frame.function).empty()) continue;
      out.function = base_function(frame.function);
      break;
    }
    if (!out.function.empty() && words.text == plain) {
      where = out.function;
      for (const ChainFrameT& frame : out.frames) {
        const std::string_view member =
            frame.uncertain ? std::string_view() : callback_called_by(frame.function);
        if (member.empty()) continue;
        where += fmt::format(", after ops.{}", member);
        break;
      }
    }
  }
  if (!place.file.empty()) {
    if (out.file.empty()) {
      out.file = place.file;
      out.line = place.line;
    }
    where += fmt::format("{}{}:{}", where.empty() ? "" : ", ", place.file, place.line);
  }
  if (crash.message.empty()) {
    out.summary = head + "; its message is cut off the text";
    out.lacks.push_back("the exit's message: what the error was");
  } else {
    out.summary = fmt::format("{}: {}{}", head, words.text, number_note(crash.message));
    if (words.text != plain) out.evidence.push_back(fmt::format("the kernel's words: {}", plain));
  }
  if (!where.empty()) out.summary += fmt::format(" (in {})", where);
  // scx_bpf_error() of any program aborts whichever scheduler runs.
  if (by_bpf && !place.program.empty()) {
    const std::string name(place.program.starts_with("scx_") ? place.program.substr(4) : place.program);
    if (!family.empty() && family != name) {
      out.summary +=
          fmt::format("; raised by a program of {}, not by the running scheduler {}", place.program, family);
      out.cls = "error/other-program";
    } else if (family.empty()) {
      out.summary += fmt::format("; raised by a program of {}, whichever scheduler runs", place.program);
      out.lacks.push_back("which scheduler was running: any program's scx_bpf_error() aborts it");
    }
    out.evidence.push_back(fmt::format("the message's source was built for {}", place.program));
  }
  out.task = !words.task.empty() ? words.task : crash.task_comm;
  out.pid = words.task.empty() ? crash.task_pid : 0;
  out.cpu = crash.cpu;
  if (!crash.task_comm.empty())
    out.evidence.push_back(fmt::format("triggered by {}[{}]{}", crash.task_comm, crash.task_pid,
                                       crash.cpu >= 0 ? fmt::format(" on CPU {}", crash.cpu) : ""));
  if (out.frames.empty()) out.lacks.push_back("the backtrace: which callback it was");
  out.signature = crash_signature(crash);
  if (!inner && !family.empty()) out.signature += " [" + family + "]";
}

// --- the kernel's own trouble

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
      if (!fault.message.empty() && !fault.message.starts_with("WARNING:"))
        out.summary += ": " + fault.message;
      if (fault.panic.empty()) out.evidence.push_back("a WARN: the kernel went on");
      if (!sched_ext) out.evidence.push_back("no function of sched_ext or of a scheduler is in it");
      out.signature =
          "warning: " + (out.function.empty() ? normalize_crash_message(fault.message) : out.function);
      break;
    }
    case FaultKind::Oops:
    case FaultKind::KernelBug: {
      if (fault.title == "int3") {
        out.cls = "artefact";
        out.summary = fmt::format(
            "kernel oops: int3{} that no probe had set: a race of kernel text patching, as under emulation; "
            "an emulator artefact rather than the scheduler's fault",
            in_function);
        out.evidence.push_back("int3 is the byte that the kernel patches in while it rewrites its own code");
        out.signature = "artefact: int3 in kernel text";
        break;
      }
      out.cls = fault.panic.empty() ? "oops" : "panic";
      out.summary = fmt::format("kernel {}: {}{}{}{}", fault.panic.empty() ? "oops" : "panic", fault.title,
                                in_function, by, source);
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
      out.summary = fmt::format("kernel panic: {}{}{}", what,
                                fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "",
                                place.inner.empty() || place.inner == "panic" ? ""
                                : by.empty()                                  ? in_function
                                                                              : by);
      out.signature = "panic: " + normalize_crash_message(what);
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
      out.signature =
          fmt::format("lockdep: {}: {}", fault.title, !fault.lock.empty() ? fault.lock : out.function);
      if (!fault.lock_held.empty()) out.signature += " under " + fault.lock_held;
      break;
    }
    case FaultKind::Kasan:
    case FaultKind::Kfence:
      out.cls = fault.kind == FaultKind::Kasan ? "kasan" : "kfence";
      out.summary = fmt::format("{}: {}{}{}", fault_name(fault.kind), fault.title, in_function, by);
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
      out.summary = fmt::format(
          "{}{}{}{}", fault_name(fault.kind), fault.cpu >= 0 ? fmt::format(" on CPU {}", fault.cpu) : "",
          fn.empty() ? "" : " in " + fn,
          fault.task_comm.empty() ? "" : fmt::format(", task {}[{}]", fault.task_comm, fault.task_pid));
      if (!fault.panic.empty()) out.summary += "; panic: " + fault.panic;
      out.signature = std::string(fault_name(fault.kind)) + (fn.empty() ? "" : ": " + fn);
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

// --- a scheduler's own program

std::string load_place(const LoadFailure& load) {
  if (load.where.empty() && load.source.empty()) return {};
  if (load.where.empty()) return load.source;
  return fmt::format("{}{}{}", base_name(load.where), load.source.empty() ? "" : ": ", load.source);
}

// Registers and numbers differ from compiler to compiler.
std::string plain_objection(std::string_view reason) {
  std::string out = normalize_crash_message(reason);
  for (size_t at = 0; (at = out.find('R', at)) != std::string::npos; ++at)
    if (at + 1 < out.size() && out[at + 1] == 'N' && (at == 0 || out[at - 1] == ' ')) out[at + 1] = 'n';
  return out;
}

void explain_load(const LoadFailure& load, Explanation& out) {
  const std::string program = load.program.empty() ? "" : fmt::format("program '{}' refused: ", load.program);
  const std::string place = load_place(load);
  const std::string in_place = place.empty() ? "" : fmt::format(" ({})", place);
  const std::string who = !load.function.empty() ? load.function : load.program;
  const std::string file(base_name(load.where.substr(0, load.where.rfind(':'))));
  out.function = who;
  out.message = load.reason;
  if (const size_t colon = load.where.rfind(':'); colon != std::string::npos) {
    out.file = load.where.substr(0, colon);
    out.line = parse_number<uint32_t>(std::string_view(load.where).substr(colon + 1)).value_or(0);
  }
  if (!load.insn.empty()) out.evidence.push_back("at insn " + load.insn);
  switch (load.cause) {
    case LoadCause::kMissingKfunc:
      out.cls = "load/kfunc";
      out.summary = fmt::format("did not load: {}the kernel has no kfunc '{}'", program, load.symbol);
      if (mentions(load.reason, "incompatible"))
        out.summary = fmt::format("did not load: {}the kernel's kfunc '{}' has another prototype", program,
                                  load.symbol);
      out.advice =
          "use a kernel that has it, or a scheduler of the kernel's age (a kfunc that may be missing is "
          "declared __weak)";
      out.signature = "load: no kfunc " + load.symbol;
      break;
    case LoadCause::kMissingMember:
      out.cls = "load/member";
      out.summary = fmt::format("did not load: the kernel's sched_ext_ops has no member {}", load.symbol);
      out.advice = "the scheduler is newer than the kernel: use a newer kernel, or leave the member unset";
      out.signature = "load: no member " + load.symbol;
      break;
    case LoadCause::kMissingVariable:
      out.cls = "load/btf-variable";
      out.summary = fmt::format("did not load: kernel BTF has no variable '{}'", load.symbol);
      if (mentions(load.reason, "kcfg"))
        out.summary = fmt::format("did not load: the kernel's configuration has no '{}'", load.symbol);
      out.advice = "check that kernel and BTF are of one build (pahole's version, modules of another kernel)";
      out.signature = "load: no variable " + load.symbol + " in kernel BTF";
      break;
    case LoadCause::kNoBtf:
      out.cls = "load/no-btf";
      out.summary = "did not load: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
      out.advice = "build the kernel with CONFIG_DEBUG_INFO_BTF=y";
      out.signature = "load: no kernel BTF";
      break;
    case LoadCause::kHelper:
      out.cls = "load/helper";
      out.summary = fmt::format(
          "did not load: {}helper {} is not available to it (kernel configuration, or not for this program "
          "type){}",
          program, load.symbol, in_place);
      out.advice =
          "check the kernel's configuration (CONFIG_BPF_EVENTS, CONFIG_KPROBE_EVENTS for the probe_read "
          "helpers)";
      out.signature = fmt::format("load: helper {} not available: {}", load.symbol, who);
      break;
    case LoadCause::kTooLarge: {
      out.cls = "load/too-large";
      std::string_view count = number_at(load.reason, "Processed ");
      out.summary = fmt::format(
          "did not load: {}too large: {} instructions walked; the place is only where the budget ended",
          program, count.empty() ? "too many" : count);
      if (!place.empty()) out.evidence.push_back("the budget ended at " + place);
      out.advice = "bound the loops (bpf_for, bpf_loop), or move a part into a global function";
      out.signature = "load: too large" + (who.empty() ? "" : ": " + who);
      break;
    }
    case LoadCause::kVerifier:
      out.cls = "load/verifier";
      out.summary =
          fmt::format("did not load: {}{}{}", program.empty() ? "the verifier refused a program: " : program,
                      load.reason, in_place);
      out.signature =
          fmt::format("load: {}{}{}", plain_objection(load.reason), file.empty() ? "" : " @ " + file,
                      load.source.empty() ? "" : ": " + load.source);
      if (load.program.empty()) out.lacks.push_back("the refused program's name");
      break;
    case LoadCause::kCutLog:
      out.cls = "load/cut";
      out.summary =
          fmt::format("did not load: {}the verifier's log is cut off before its objection; last: {}", program,
                      place.empty() ? load.insn : place);
      if (!load.error.empty()) out.summary += fmt::format("; {}", load.error);
      out.lacks.push_back("the verifier's objection: the end of its log");
      out.signature =
          fmt::format("load: cut log: {}{}{}", who, file.empty() ? "" : (who.empty() ? "" : " @ ") + file,
                      load.source.empty() ? "" : ": " + load.source);
      break;
    case LoadCause::kBusy:
    case LoadCause::kAttachNull:
      out.cls = "load/busy";
      out.summary = load.cause == LoadCause::kBusy
                        ? "did not attach: another sched_ext scheduler is running (EBUSY)"
                        : "did not attach: another sched_ext scheduler is running, most likely (attach "
                          "returned NULL; its errno is not in the text)";
      out.advice = "stop the other one: cat /sys/kernel/sched_ext/root/ops";
      if (load.cause == LoadCause::kAttachNull) out.lacks.push_back("the errno of the attach");
      out.signature = "load: attach refused, another scheduler";
      break;
    case LoadCause::kNotSupported:
      out.cls = "load/not-supported";
      out.summary =
          "did not load: the kernel refuses it with EOPNOTSUPP and the text has no reason: most likely the "
          "kernel is PREEMPT_RT, which sched_ext refuses";
      out.lacks.push_back("libbpf's lines before, and the kernel's release and configuration");
      out.advice = "check uname -v for PREEMPT_RT, and libbpf's log for a missing struct_ops member";
      out.signature = "load: EOPNOTSUPP, PREEMPT_RT";
      break;
    case LoadCause::kPermission:
      out.cls = "load/permission";
      out.summary = "did not load: not permitted (EPERM): it needs root, or CAP_BPF and CAP_PERFMON";
      out.signature = "load: EPERM";
      break;
    case LoadCause::kMap:
      out.cls = "load/map";
      out.summary = fmt::format("did not load: {}{}", load.reason, number_note(load.reason));
      out.signature = "load: " + plain_objection(load.reason);
      break;
    case LoadCause::kErrno:
    case LoadCause::kOther:
      out.cls = "load/other";
      out.summary =
          fmt::format("did not load: {}{}{}", program, load.reason, number_note("error " + load.reason));
      out.lacks.push_back("libbpf's or the verifier's own reason");
      out.signature = "load: " + (who.empty() ? "" : who + ": ") + plain_objection(load.reason);
      break;
  }
}

void explain_process(const Incident& in, Explanation& out) {
  if (in.load && !(in.end && in.end->kind == UserEndKind::kPanic && in.load->cause == LoadCause::kErrno)) {
    explain_load(*in.load, out);
    if (in.end && in.end->kind == UserEndKind::kError) {
      std::string chain = in.end->message;
      for (const std::string& cause : in.end->chain) chain += ": " + cause;
      out.evidence.push_back("the program's own error: " + chain);
    }
    return;
  }
  const UserEnd& end = *in.end;
  const std::string place = end.file.empty() ? "" : fmt::format("{}:{}", base_name(end.file), end.line);
  std::string chain = end.message;
  for (const std::string& cause : end.chain) chain += ": " + cause;
  out.message = chain;
  out.file = end.file;
  out.line = end.line;
  out.function = end.function;
  out.task = end.program;
  const std::string program = end.program.empty() ? "the scheduler's program" : end.program;
  const bool attached = !in.running_ops.empty();
  const std::string head =
      attached ? program + " ended" : "ended before it attached, as far as the text shows";
  switch (end.kind) {
    case UserEndKind::kPanic:
      out.cls = "user/panic";
      out.summary = fmt::format("{}: panicked at {}: {}", head, place, end.message);
      break;
    case UserEndKind::kAbort:
    case UserEndKind::kSanitizer:
      out.cls = end.kind == UserEndKind::kAbort ? "user/abort" : "user/sanitizer";
      out.summary = fmt::format("{}: {}{}{}", head, end.what, place.empty() ? "" : " at " + place,
                                end.message.empty() ? "" : ": " + end.message);
      if (!end.function.empty()) out.summary += fmt::format(" (in {})", end.function);
      break;
    case UserEndKind::kSignal:
      out.cls = "user/signal";
      out.summary = fmt::format("{}: killed by {}{}", end.program.empty() ? head : program, end.what,
                                end.message.empty() ? "" : ": " + end.message);
      break;
    case UserEndKind::kError:
      out.cls = "user/error";
      out.summary = fmt::format("{}: {}", head, chain);
      break;
    case UserEndKind::kExitWords:
      out.cls = "user/exit";
      out.summary = fmt::format("{}: {}", head, end.what);
      break;
  }
  if (!attached) out.lacks.push_back("whether it had attached");
  if (!in.last_words.empty() && end.kind == UserEndKind::kSignal)
    out.evidence.push_back("its last line: " + in.last_words);
  out.signature =
      fmt::format("{}: {}{}", out.cls,
                  end.kind == UserEndKind::kSignal ? end.what + " " + normalize_crash_message(end.program)
                                                   : normalize_crash_message(chain),
                  end.file.empty() ? "" : fmt::format(" @ {}", base_name(end.file)));
}

void explain_header(const Incident& in, Explanation& out) {
  std::string_view what = in.panic;
  if (const size_t at = what.find("not syncing: "); at != what.npos) what = what.substr(at + 13);
  const bool hard = mentions(lower(what), "hard lockup");
  out.cls = hard ? "hard-lockup" : "panic";
  out.task = in.command;
  out.pid = in.pid;
  out.cpu = in.cpu;
  out.message = in.panic;
  out.summary = fmt::format("{}{}{}{}", hard ? "" : "kernel panic: ", what,
                            in.cpu >= 0 ? fmt::format(" on CPU {}", in.cpu) : "",
                            in.command.empty() ? "" : fmt::format(", task {}", in.command));
  out.lacks.push_back("the kernel's log of the memory dump (crash> log, bt -a): where the CPUs were");
  out.signature = hard ? "hard lockup" : "panic: " + normalize_crash_message(what);
}

}  // namespace

std::string_view scheduler_family(std::string_view ops) {
  for (size_t at = ops.find('_'); at != ops.npos; at = ops.find('_', at + 1))
    if (at + 1 < ops.size() && is_digit(ops[at + 1])) return ops.substr(0, at);
  return ops;
}

Explanation explain(const Incident& incident) {
  Explanation out;
  out.kernel = incident.kernel;
  out.when = incident.when;
  out.text_line = incident.line;
  out.dump = incident.dump;
  switch (incident.kind) {
    case IncidentKind::kExit:
      explain_exit(incident, out);
      break;
    case IncidentKind::kFault:
      explain_fault(incident, out);
      break;
    case IncidentKind::kProcess:
      explain_process(incident, out);
      break;
    case IncidentKind::kHeader:
      explain_header(incident, out);
      break;
  }
  return out;
}

Explanation explain(const KernelFaultT& fault, const KernelFaultT* interrupted) {
  Incident incident;
  incident.kind = IncidentKind::kFault;
  incident.kernel = fault.kernel;
  incident.fault = fault;
  if (interrupted) incident.interrupted = *interrupted;
  return explain(incident);
}

Explanation explain(const LoadFailure& load) {
  Explanation out;
  explain_load(load, out);
  return out;
}

void order_explanations(std::vector<Explanation>& crashes) {
  auto printing = [](const Explanation& e) { return e.cls.ends_with("/printing"); };
  auto knows = [](const Explanation& e) { return e.cls.starts_with("stall/"); };
  std::stable_sort(crashes.begin(), crashes.end(),
                   [](const Explanation& a, const Explanation& b) { return a.text_line < b.text_line; });
  // What fell while it printed another message comes before that message.
  for (size_t i = 1; i < crashes.size(); ++i)
    if (printing(crashes[i]) && !printing(crashes[i - 1])) std::swap(crashes[i], crashes[i - 1]);
  // Of the stalls of one scheduler the best known one leads.
  for (size_t i = 0; i < crashes.size(); ++i) {
    if (crashes[i].cls != "stall") continue;
    for (size_t k = i + 1; k < crashes.size(); ++k)
      if (knows(crashes[k]) && crashes[k].ops == crashes[i].ops) {
        std::rotate(crashes.begin() + static_cast<ptrdiff_t>(i), crashes.begin() + static_cast<ptrdiff_t>(k),
                    crashes.begin() + static_cast<ptrdiff_t>(k) + 1);
        break;
      }
    break;
  }
}

}  // namespace ktstr
