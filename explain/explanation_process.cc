#include <fmt/format.h>

#include "base/text.h"
#include "explain/explanation_parts.h"
#include "scx/crash_signature.h"

namespace ktstr {

std::string user_end_words(const UserEnd& end) {
  const std::string place = end.file.empty() ? "" : fmt::format(" at {}:{}", base_name(end.file), end.line);
  const std::string message = end.message.empty() ? "" : ": " + end.message;
  std::string text;
  switch (end.kind) {
    case UserEndKind::kPanic:
      return fmt::format("panicked{}{}", place, message);
    case UserEndKind::kAbort:
    case UserEndKind::kSanitizer:
      text = fmt::format("{}{}{}", end.what, place, message);
      return end.function.empty() ? text : fmt::format("{} (in {})", text, end.function);
    case UserEndKind::kSignal:
      return fmt::format("killed by {}{}{}", end.what, message,
                         end.function.empty() ? "" : fmt::format(" (in {})", end.function) + place);
    case UserEndKind::kError:
      text = end.message;
      for (const std::string& cause : end.chain) text += ": " + cause;
      return text;
    case UserEndKind::kExitWords:
      return end.what;
  }
  return text;
}

void explain_process(const Incident& in, Explanation& out) {
  if (!in.before.empty()) out.evidence.push_back("its scheduler had ended in order before: " + in.before);
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
  static constexpr std::string_view kClasses[] = {"user/exit",      "user/error", "user/abort",
                                                  "user/sanitizer", "user/panic", "user/signal"};
  out.cls = kClasses[static_cast<size_t>(end.kind)];
  const bool named = end.kind == UserEndKind::kSignal && !end.program.empty();
  out.summary = fmt::format("{}: {}", named ? program : head, user_end_words(end));

  if (!attached) out.lacks.push_back("whether it had attached");
  if (!in.last_words.empty() && end.kind == UserEndKind::kSignal)
    out.evidence.push_back("its last line: " + in.last_words);
  out.signature =
      fmt::format("{}: {}{}", out.cls,
                  end.kind == UserEndKind::kSignal ? end.what + " " + normalize_crash_message(end.program)
                                                   : normalize_crash_message(chain),
                  end.file.empty() ? "" : fmt::format(" @ {}", base_name(end.file)));
  if (end.kind == UserEndKind::kSignal && !end.function.empty()) out.signature += " @ " + end.function;
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
