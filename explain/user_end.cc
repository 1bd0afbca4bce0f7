#include "explain/user_end.h"

#include <cxxabi.h>
#include <re2/re2.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/numbers.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kMaxText = 512;
constexpr size_t kMaxCauses = 16;

std::string cut_text(std::string_view text) { return std::string(trim(text).substr(0, kMaxText)); }
bool in(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string_view behind(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  return at == std::string_view::npos ? std::string_view() : text.substr(at + key.size());
}

// "src/main.rs:12:5:", "file.c:12": path and line.
bool take_place(std::string_view text, UserEnd& end) {
  const size_t dot = text.rfind('.');
  const size_t colon = text.find(':', dot == std::string_view::npos ? 0 : dot);
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view number = text.substr(colon + 1);
  number = number.substr(0, std::min(number.find_first_not_of("0123456789"), number.size()));
  const auto line = parse_number<uint32_t>(number);
  if (!line) return false;
  end.file = cut_text(text.substr(0, colon));
  end.line = *line;
  return true;
}

// What Result::unwrap() adds says only that it was called.
std::string_view plain_message(std::string_view text) {
  for (std::string_view lead : {"value: ", "on a `None` value"})
    if (text.starts_with("called `") && lead == "value: " && in(text, lead)) return behind(text, lead);
  return text;
}

bool scheduler_name(std::string_view name) {
  return name.starts_with("scx") || name.starts_with("sched_ext");
}

// "scx_x[114]: segfault at 0 ip …", "traps: scx_x[12] general protection fault ip:…"
std::optional<UserEnd> signal_line(std::string_view text) {
  if (text.starts_with("traps: ")) text.remove_prefix(7);
  const size_t open = text.find('[');
  const size_t close = text.find(']', open == std::string_view::npos ? 0 : open);
  if (open == std::string_view::npos || close == std::string_view::npos || open == 0 || open > 32)
    return std::nullopt;
  std::string_view rest = text.substr(close + 1);
  if (rest.starts_with(":")) rest.remove_prefix(1);
  rest = trim(rest);
  UserEnd end;
  end.kind = UserEndKind::kSignal;
  end.program = cut_text(text.substr(0, open));
  if (rest.starts_with("segfault at ")) {
    end.what = "SIGSEGV";
  } else if (rest.starts_with("general protection fault ip:") || rest.starts_with("general protection ip:")) {
    end.what = "SIGSEGV (general protection fault)";
  } else if (rest.starts_with("trap invalid opcode")) {
    end.what = "SIGILL";
  } else if (rest.starts_with("trap divide error")) {
    end.what = "SIGFPE";
  } else if (rest.starts_with("trap int3")) {
    end.what = "SIGTRAP";
  } else {
    return std::nullopt;
  }
  if (!scheduler_name(end.program)) return std::nullopt;  // any program's misfortune
  // Addresses differ from run to run; where it was does not.
  end.message = rest.starts_with("segfault at 0 ") ? "a NULL pointer" : "";
  if (const size_t at = rest.rfind(" in "); at != std::string_view::npos) {
    const std::string_view module = rest.substr(at + 4);
    end.message +=
        (end.message.empty() ? "in " : ", in ") + cut_text(module.substr(0, module.find_first_of("[ ")));
  }
  return end;
}

// "_ZN8scx_lavd9Scheduler3run17h0a1b2c3d4e5f6071E" as scx_lavd::Scheduler::run.
std::string plain_symbol(std::string_view symbol) {
  std::string name(symbol.substr(0, kMaxText));
  if (name.starts_with("_Z")) {
    int status = 0;
    if (char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status)) {
      name.assign(std::string_view(text).substr(0, kMaxText));
      std::free(text);
    }
  }
  name = name.substr(0, name.find('('));
  // Rust's hash of the crate's build.
  if (const size_t hash = name.rfind("::h"); hash != std::string::npos && name.size() - hash >= 19)
    name.resize(hash);
  return name;
}

// How a program got to its own end: the C library's, Rust's and the debugger's functions.
bool ending_function(std::string_view name) {
  static constexpr std::string_view kNames[] = {"abort",           "raise",
                                                "__abort",         "gsignal",
                                                "__pthread_kill",  "pthread_kill",
                                                "__restore_sigs",  "kill",
                                                "tgkill",          "__assert_",
                                                "__libc_message",  "malloc_printerr",
                                                "__fortify_fail",  "__stack_chk_fail",
                                                "__GI_",           "std::terminate",
                                                "__cxxabiv1",      "__cxa_throw",
                                                "std::panicking",  "std::sys",
                                                "core::panicking", "core::result",
                                                "core::option",    "core::cell",
                                                "rust_panic",      "rust_begin_unwind",
                                                "__rust_",         "_start",
                                                "__libc_start"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view n) { return name.starts_with(n); });
}

// A line without one of these is no end of a program: one scan in place of many.
bool may_end(std::string_view line) {
  static const RE2* re = new RE2(
      "panicked at |Error: |terminate called|Assertion `|double free|\\(\\): |corrupted |smashing "
      "detected|overflow "
      "detected|pthread_mutex_lock|scx panic|AddressSanitizer|\\d\\]:? |exited, "
      "code=|Segmentation|Abort|Signal: "
      "|dumped core|signal ",
      RE2::Latin1);
  return RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), *re);
}

}  // namespace

void UserEndScanner::offer(UserEnd end) {
  if (!best_ || end.kind > best_->kind) best_ = std::move(end);
}

bool UserEndScanner::line(std::string_view text) {
  text = text.substr(0, 4096);
  const std::string_view line = trim(text);
  switch (std::exchange(expect_, Expect::kNothing)) {
    case Expect::kPanicText:
      if (line.empty() || line.starts_with("note: ") || line.starts_with("stack backtrace:")) return true;
      if (starts(line)) return true;
      if (best_->message.empty()) {
        best_->message = cut_text(plain_message(line));
      } else if (best_->message.size() < kMaxText) {
        best_->message += " " + cut_text(line);
      }
      if (++lines_ < 4) expect_ = Expect::kPanicText;
      return true;
    case Expect::kWhat:
      if (line.starts_with("what():")) {
        best_->message = cut_text(line.substr(7));
        return true;
      }
      break;
    case Expect::kCauses: {
      if (line == "Caused by:" || (line.empty() && lines_ < 3)) {
        ++lines_;
        expect_ = Expect::kCauses;
        return true;
      }
      const bool indented = text.starts_with("  ") || text.starts_with("\t");
      if (indented && best_->kind == UserEndKind::kError && best_->chain.size() < kMaxCauses) {
        std::string_view cause = line;
        const size_t colon = cause.find(": ");
        if (colon != std::string_view::npos && colon <= 2 && is_digit(cause.front()))
          cause = cause.substr(colon + 2);
        best_->chain.push_back(cut_text(cause));
        expect_ = Expect::kCauses;
        return true;
      }
      break;
    }
    case Expect::kStack:
      if (stack_line(line)) {
        if (++lines_ < 64) expect_ = Expect::kStack;
        return true;
      }
      break;
    case Expect::kNothing:
      break;
  }
  return starts(line);
}

// systemd-coredump: "Process 22917 (scx_lavd) of user 0 dumped core.", "… terminated abnormally with signal 11/SEGV";
// gdb: "Thread 1 "scx_lavd" received signal SIGSEGV", "Program terminated with signal SIGABRT"; lldb: "* thread #1, name =
// 'scx_rusty', stop reason = signal SIGABRT".
bool UserEndScanner::core_line(std::string_view line) {
  auto name_of = [](std::string_view signal) {
    return (signal.starts_with("SIG") ? "" : "SIG") +
           std::string(signal.substr(
               0, std::min(signal.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), signal.size())));
  };
  if (line.starts_with("Signal: ")) {
    const std::string_view name = behind(line, "(");
    if (!name.empty()) signal_ = name_of(name);
    return false;
  }
  UserEnd end;
  end.kind = UserEndKind::kSignal;
  if (const size_t process = line.find("Process ");
      process != std::string_view::npos && (in(line, "dumped core") || in(line, "with signal "))) {
    const std::string_view name = behind(line.substr(process), "(");
    end.program = cut_text(name.substr(0, name.find(')')));
    if (const std::string_view signal = behind(behind(line, "with signal "), "/"); !signal.empty())
      signal_ = name_of(signal);
    end.what = signal_.empty() ? "a signal" : signal_;
    if (!scheduler_name(end.program)) return false;
  } else if (const std::string_view reason = behind(line, "stop reason = signal "); !reason.empty()) {
    const std::string_view name = behind(line, "name = '");
    end.program = cut_text(name.substr(0, name.find('\'')));
    end.what = name_of(reason);
    if (!scheduler_name(end.program)) return false;
  } else {
    std::string_view signal = behind(line, " received signal ");
    if (signal.empty()) signal = behind(line, "terminated with signal ");
    if (!signal.starts_with("SIG")) return false;
    const std::string_view name = behind(line, "\"");
    end.program = cut_text(name.substr(0, name.find('"')));
    end.what = name_of(signal);
    if (!end.program.empty() && !scheduler_name(end.program)) return false;
  }
  const bool known = best_ && best_->kind == UserEndKind::kSignal;
  if (known && best_->function.empty()) {
    if (best_->program.empty()) best_->program = end.program;
    if (best_->what == "a signal" || best_->what.empty()) best_->what = end.what;
  } else if (!known) {
    offer(std::move(end));
  }
  expect_ = Expect::kStack;
  lines_ = 0;
  return true;
}

// "#0  0x000055d0a8b1c2f4 function (module + 0x11c2f4)", "#0  0x00007 in function (args) at file.c:12",
// "* frame #0: 0x0000 module`function + 10", "frame #6: scx_x`main at main.rs:9:5".
bool UserEndScanner::stack_line(std::string_view line) {
  if (line.empty() || line.starts_with("Stack trace of thread") || in(line, "Executable: ") ||
      line.starts_with("Module "))
    return true;
  if (line.starts_with("* ")) line = trim(line.substr(2));
  if (line.starts_with("frame #")) line.remove_prefix(6);
  if (!line.starts_with("#") || line.size() < 3 || !is_digit(line[1])) return in(line, "Message: ");
  std::string_view rest = line.substr(std::min(line.find_first_not_of("0123456789", 1), line.size()));
  if (rest.starts_with(":")) rest.remove_prefix(1);
  rest = trim(rest);
  if (rest.starts_with("0x")) rest = trim(rest.substr(std::min(rest.find(' '), rest.size())));
  if (rest.starts_with("in ")) rest = trim(rest.substr(3));
  if (const size_t module = rest.find('`'); module != std::string_view::npos && module < rest.find(' '))
    rest = rest.substr(module + 1);
  if (!best_ || best_->kind != UserEndKind::kSignal) return true;
  const std::string name = plain_symbol(rest.substr(0, rest.find(' ')));
  // "core::cell::panic_already_borrowed" says why; "core::panicking::panic_fmt" prints what anybody said.
  if (const std::string_view why = behind(name, "::panic_");
      name.starts_with("core::") && !why.empty() && why != "fmt" && !why.starts_with("nounwind"))
    best_->message = "a Rust panic: " + cut_text(why);
  if (!best_->function.empty() || name.empty() || name == "n/a" || name == "??" || ending_function(name))
    return true;
  best_->function = name;
  if (const std::string_view at = behind(rest, " at "); !at.empty()) take_place(at, *best_);
  return true;
}

bool UserEndScanner::starts(std::string_view line) {
  if (!may_end(line)) return false;
  if (core_line(line)) return true;
  UserEnd end;
  if (const std::string_view at = behind(line, "panicked at "); !at.empty() && in(line, "thread '")) {
    end.kind = UserEndKind::kPanic;
    end.what = "panicked";
    if (at.starts_with("'")) {  // before Rust 1.73: 'message', file:line:column
      const size_t close = at.rfind("', ");
      if (close == std::string_view::npos) return false;
      end.message = cut_text(plain_message(at.substr(1, close - 1)));
      take_place(at.substr(close + 3), end);
      offer(std::move(end));
      return true;
    }
    if (!take_place(at, end)) return false;
    const bool first = !best_ || best_->kind < UserEndKind::kPanic;
    offer(std::move(end));
    if (first) {
      expect_ = Expect::kPanicText;
      lines_ = 0;
    }
    return true;
  }
  if (line.starts_with("Error: ") && !line.starts_with("Error: EXIT: ")) {
    end.kind = UserEndKind::kError;
    end.what = "ended with an error";
    end.message = cut_text(line.substr(7));
    const bool first = !best_ || best_->kind < UserEndKind::kError;
    offer(std::move(end));
    if (first) {
      expect_ = Expect::kCauses;
      lines_ = 0;
    }
    return true;
  }
  if (const std::string_view type = behind(line, "terminate called after throwing an instance of '");
      !type.empty()) {
    end.kind = UserEndKind::kAbort;
    end.what = "aborted by an exception " + cut_text(type.substr(0, type.find('\'')));
    offer(std::move(end));
    expect_ = Expect::kWhat;
    return true;
  }
  if (line.starts_with("terminate called")) {
    end.kind = UserEndKind::kAbort;
    end.what = "aborted";
    end.message = cut_text(line);
    offer(std::move(end));
    return true;
  }
  // "scx_x: file.c:12: function: Assertion `x' failed."
  if (const size_t assertion = line.find(": Assertion `");
      assertion != std::string_view::npos && in(line, "' failed")) {
    end.kind = UserEndKind::kAbort;
    end.what = "assertion failed";
    end.message = cut_text(line.substr(assertion + 12, line.find("' failed") - assertion - 11));
    std::string_view before = line.substr(0, assertion);
    const size_t program = before.find(": ");
    if (program != std::string_view::npos) {
      end.program = cut_text(before.substr(0, program));
      before = before.substr(program + 2);
    }
    take_place(before, end);
    if (const size_t function = before.rfind(": "); function != std::string_view::npos)
      end.function = cut_text(before.substr(function + 2));
    offer(std::move(end));
    return true;
  }
  static constexpr std::string_view kGlibc[] = {"double free or corruption",
                                                "free(): ",
                                                "malloc(): ",
                                                "malloc_consolidate(): ",
                                                "realloc(): ",
                                                "corrupted size vs. prev_size",
                                                "corrupted double-linked",
                                                "munmap_chunk(): ",
                                                "*** stack smashing detected",
                                                "*** buffer overflow detected",
                                                "pthread_mutex_lock.c"};
  for (std::string_view known : kGlibc) {
    if (!line.starts_with(known)) continue;
    end.kind = UserEndKind::kAbort;
    end.what = "aborted by the C library";
    end.message = cut_text(line);
    offer(std::move(end));
    return true;
  }
  if (const size_t own = line.find(" [scx panic]: "); own != std::string_view::npos) {
    end.kind = UserEndKind::kAbort;
    end.what = "gave up";
    end.message = cut_text(line.substr(own + 14));
    take_place(line.substr(0, own), end);
    offer(std::move(end));
    return true;
  }
  if (const std::string_view what = behind(line, "ERROR: AddressSanitizer: "); !what.empty()) {
    end.kind = UserEndKind::kSanitizer;
    end.what = "AddressSanitizer";
    end.message = cut_text(what.substr(0, what.find(" on ")));
    offer(std::move(end));
    return true;
  }
  if (auto signal = signal_line(line)) {
    offer(std::move(*signal));
    return true;
  }
  // systemd: "x.service: Main process exited, code=dumped, status=11/SEGV"
  if (const std::string_view status = behind(line, "Main process exited, code="); !status.empty()) {
    end.kind = UserEndKind::kExitWords;
    end.what = cut_text(status);
    if (status.starts_with("dumped") || status.starts_with("killed")) {
      end.kind = UserEndKind::kSignal;
      const size_t slash = status.find('/');
      if (slash != std::string_view::npos) end.what = "SIG" + cut_text(status.substr(slash + 1));
    }
    const size_t unit = line.find(".service");
    if (unit != std::string_view::npos) end.program = cut_text(line.substr(0, unit));
    if (!scheduler_name(end.program)) return false;
    offer(std::move(end));
    return true;
  }
  if (line == "Segmentation fault" || line == "Aborted" || in(line, "Segmentation fault (core dumped)") ||
      in(line, "Aborted (core dumped)")) {
    end.kind = in(line, "Abort") ? UserEndKind::kExitWords : UserEndKind::kSignal;
    end.what = in(line, "Abort") ? "SIGABRT" : "SIGSEGV";
    offer(std::move(end));
    return true;
  }
  return false;
}

}  // namespace ktstr
