#include "explain/explanation_parts.h"

#include <fmt/format.h>

#include "base/text.h"
#include "scx/crash_signature.h"

namespace ktstr {

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

}  // namespace ktstr
