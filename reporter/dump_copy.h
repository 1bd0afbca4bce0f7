// Where a scheduler's log holds the same text as the kernel's dump. A scheduler prints the dump that the kernel gave
// to its exit record (UEI_REPORT, UserExitInfo); the kernel's own arrives by the trace buffer. Mostly the two are
// the same. They differ where the exit record was too small, where the trace lost lines, and where the scheduler
// printed something else meanwhile.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ktstr {

// Lines of the log that follow each other and are lines of the dump that follow each other.
struct DumpCopy {
  size_t log = 0, dump = 0;  // the first line, in either
  size_t lines = 0;
  // What a logger put before the text: on the first line and on the last one. Empty: nothing.
  std::string first_prefix, last_prefix;
};

// Lines in their printed form (printed_line). `dump` may hold kNoLine, which equals no line. Ascending in the log,
// disjoint, at most kMaxDumpCopies.
std::vector<DumpCopy> find_dump_copies(std::span<const std::string> log, std::span<const std::string> dump);

inline constexpr const char* kNoLine = "\n";
inline constexpr size_t kMaxDumpCopies = 256;

}  // namespace ktstr
