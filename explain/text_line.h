// What people paste, less what loggers put before it: stamps of dmesg and of the journal, host, process, log levels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ktstr {

enum class Origin : uint8_t { kUnknown, kKernel, kProcess };

struct TextLine {
  std::string_view text;     // indentation is kept
  std::string_view when;     // the stamp as it stands in the line: "Sep 23 13:02:57"; empty: none
  std::string_view process;  // "bash[1052]"; empty: not told
  Origin origin = Origin::kUnknown;
  bool fence = false;         // of Markdown: a quoted text begins or ends
  bool level = false;         // a log crate's level stood before it: the line begins a message of its own
  uint64_t monotonic_ns = 0;  // of the kernel's own stamp; 0: none
  uint64_t order = 0;         // grows with the stamp, in us of whatever clock; 0: none that can be compared

  // Unless the line has a stamp already: the first one counts.
  void set_when(std::string_view stamp, uint64_t position);
};

// Takes prefixes off until none is left: "[   12.345678][  T9] ", "[Thu Jan 15 23:28:55 2025] ", "Sep 23 13:02:57 host
// kernel: ", "2025-01-17T22:24:05+0300 host bash[9]: ", "1737141845.123 host x: ", "kern  :info  : ", "<6>", "22:38:36 [WARN] ",
// "[2026-04-17T09:35:14Z INFO  scx_x] ", "2026-…Z  WARN ThreadId(01) crate::mod: file.rs:12: ", ftrace's "x-12 [003] …:
// sched_ext_dump: ", "> ". The result points into `line`.
TextLine strip_prefixes(std::string_view line);

// Without terminal escapes and other control characters (a tab stays). `buffer` holds the result when anything was taken
// out; else `line` is returned as it is.
std::string_view without_escapes(std::string_view line, std::string& buffer);

}  // namespace ktstr
