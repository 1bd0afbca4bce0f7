#include <fmt/format.h>

#include <algorithm>

#include "base/numbers.h"
#include "explain/error_words.h"
#include "explain/explanation_parts.h"
#include "explain/stall_class.h"
#include "scx/constants.h"
#include "scx/crash_frames.h"
#include "scx/crash_signature.h"
#include "scx/named_callback.h"
#include "scx/scx_dump.h"
#include "scx/scx_words.h"
#include "scx/stall.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

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
    facts.waited_ns = watchdog_silence_ns(crash.message);
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
  out.cls = "stall";
  if (verdict.what != StallClass::kUnknown) out.cls += fmt::format("/{}", stall_class_name(verdict.what));
  out.summary = "stall: " + verdict.sentence;
  out.signature = verdict.signature;
  out.task = facts.comm;
  out.pid = facts.pid;
  out.cpu = facts.rq_cpu;
  if (!named.empty()) out.evidence.push_back(std::move(named));
  for (auto& text : verdict.evidence) out.evidence.push_back(std::move(text));
  out.lacks = std::move(verdict.lacks);
  if (!told) out.lacks.push_back("the exit that the dump belongs to: its kind and its message");
  out.advice = stall_advice(verdict.what);
  out.function.clear();
}

}  // namespace

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
    // The message may name the callback itself.
    const bool named = named_callback(plain).has_value();
    if (!out.function.empty() && words.text == plain && !named) {
      where = out.function;
      for (const ChainFrameT& frame : out.frames) {
        if (frame.uncertain) continue;
        if (is_interrupt(frame.function)) break;  // what it stopped has nothing to do with it
        const std::string_view member = callback_called_by(frame.function);
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
    if (!mentions(words.text, plain)) out.evidence.push_back(fmt::format("the kernel's words: {}", plain));
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
  if (!by_bpf) {
    out.advice = error_advice(crash.message);
  } else if (out.function.ends_with("cpu_offline") || out.function.ends_with("cpu_online")) {
    out.advice =
        "a CPU that goes or comes (suspend, hotplug) is no error: end with scx_bpf_exit() and "
        "SCX_ECODE_ACT_RESTART, or leave the callback out, so that the kernel does it";
  }
  out.signature = crash_signature(crash);
  if (!inner && !family.empty()) out.signature += " [" + family + "]";
}

}  // namespace ktstr
