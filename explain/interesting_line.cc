#include "explain/interesting_line.h"

#include "base/text.h"
#include "scx/scx_words.h"

namespace ktstr {

const RE2& interesting() {
  // No repetitions with a number ({1,5}): they make so many states that the scan of a line takes ten times as long.
  static const RE2::Options options = [] {
    RE2::Options o(RE2::Latin1);
    o.set_log_errors(false);
    o.set_never_capture(true);
    return o;
  }();
  static const RE2* re = new RE2(
      "sched_ext|Sched_ext|BUG|WARNING: |INFO: (?:task|rcu|possible|trying)|Oops|Internal error|Kernel "
      "panic|kernel BUG|"
      "Unable to handle kernel|protection fault|UBSAN: |LOCKUP|list_(?:add|del)|CFI failure|-\\[ cut "
      "here|triggered exit kind|"
      "EXIT: |DEBUG DUMP|nr_run=|\\d\\] [^\\[\\]]*[-+]\\d+ms|libbpf|prog '|ailed to "
      "(?:load|attach|open)|annot (?:load|attach)|returned NULL|panicked at|terminate "
      "called|what\\(\\):|Assertion `|"
      "segfault at|traps: |os error|Error: |Caused by:|scx panic|PROG LOAD LOG|insns \\(limit|program is too "
      "large|"
      "wasn't resolved|use helper|\\[#\\d|Comm: .*ainted|PANIC: |double "
      "free|(?:free|alloc|realloc)\\(\\): |smashing detected|"
      "AddressSanitizer|core dumped|dumped core|with signal |stop reason = signal|received signal "
      "SIG|Signal: \\d|Aborted|Segmentation fault|\\d: \\([0-9a-f][0-9a-f]\\)|; "
      "[^@]+ @ \\S+:\\d|Linux version |"
      "code=(?:dumped|killed|exited)|failed to run for|failed to check in|ops_state/qseq|RIP: 0010|\\? "
      "__warn\\+|pc : "
      "|scx_bpf_error|runtime error \\(|reenqueue limit|rescue bandwidth|SError Interrupt|Insufficient stack|"
      "-corruption|\"MESSAGE\" ?:|corrupted |loop detected|unsupported|^\\S{0,8}task:\\S",
      options);
  return *re;
}

size_t next_stamp(std::string_view line) {
  if (line.size() < 32) return std::string_view::npos;
  const size_t first = line.find('[');
  for (size_t at = first == 0 ? line.find('[', 1) : std::string_view::npos; at != std::string_view::npos;
       at = line.find('[', at + 1)) {
    size_t i = at + 1;
    while (i < line.size() && line[i] == ' ') ++i;
    const size_t digits = i;
    while (i < line.size() && is_digit(line[i])) ++i;
    if (i == digits || i >= line.size() || line[i] != '.') continue;
    const size_t fraction = ++i;
    while (i < line.size() && is_digit(line[i])) ++i;
    // The text between is what tells it from "[2025-08-20 20:08:59] [  302.971448]".
    if (i - fraction == 6 && i < line.size() && line[i] == ']' && split_stamp(line).guest_ns != 0 &&
        !trim(split_stamp(line.substr(0, at)).text).empty())
      return at;
  }
  return std::string_view::npos;
}

bool counts_others(std::string_view text) {
  if (text.empty()) return false;
  switch (text.front()) {
    case 'm':
      return text.starts_with("message repeated ");
    case 'S':
      return text.starts_with("Suppressed ") && text.find(" messages from ") != text.npos;
    case '*':
      return text.starts_with("** ") && text.find(" printk messages dropped") != text.npos;
    default:
      return text.ends_with(" callbacks suppressed") || text.ends_with(" messages suppressed") ||
             text.ends_with(" output lines suppressed due to ratelimiting");
  }
}

}  // namespace ktstr
