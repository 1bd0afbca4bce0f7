// How a program ended, by what it printed itself: Rust panics and error chains, C++ and glibc aborts, assertions,
// sanitizers; and what the kernel, systemd and the debuggers (coredumpctl, gdb, lldb) say of its signal and its stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

enum class UserEndKind : uint8_t {
  kExitWords,  // a status or a signal, without words of its own
  kError,      // "Error: …", with its chain of causes
  kAbort,      // C++ exception, glibc, assertion, scx' own panic()
  kSanitizer,
  kPanic,  // Rust
  kSignal,
};

struct UserEnd {
  UserEndKind kind = UserEndKind::kExitWords;
  std::string what;     // "panicked", "terminated by an exception std::runtime_error", "SIGSEGV"
  std::string message;  // "No debugfs mount found"
  std::string file;     // where the program says that it was; empty: not told
  uint32_t line = 0;
  std::string function;            // of an assertion or a core dump's innermost frame
  std::string program;             // "scx_lavd"; empty: not told
  std::vector<std::string> chain;  // causes, outermost first, without `message`
};

class UserEndScanner {
 public:
  // True: the line is part of a program's end.
  bool line(std::string_view text);
  void stop() { expect_ = Expect::kNothing; }
  bool expects_more() const { return expect_ != Expect::kNothing; }
  // The most telling one.
  std::optional<UserEnd> end() const { return best_; }

 private:
  enum class Expect { kNothing, kPanicText, kWhat, kCauses, kStack };
  void offer(UserEnd end);
  bool starts(std::string_view text);
  bool core_line(std::string_view line);
  bool stack_line(std::string_view line);

  std::optional<UserEnd> best_;
  Expect expect_ = Expect::kNothing;
  unsigned lines_ = 0;  // of what is expected
  std::string signal_;  // coredumpctl's "Signal: 11 (SEGV)"
};

}  // namespace ktstr
