#include "explain/text_line.h"

#include <algorithm>
#include <cctype>

#include "base/numbers.h"
#include "base/text.h"
#include "explain/line_cursor.h"
#include "explain/record_prefix.h"

namespace ktstr {
namespace {

// What vendors' kernels put behind the stamp: "[pid:0,cpu0,swapper/0]", "[3:  kworker/3:1:  105] ", "(3)[105:kworker/3:1]".
std::string_view without_vendor(std::string_view text) {
  LineCursor c(text);
  c.blanks();
  if (c.take('(')) {
    if (!c.digits(1, 4) || !c.take(')')) return text;
    c.blanks();
  }
  const std::string_view rest = c.rest();
  if (!rest.starts_with("[")) return text;
  const size_t close = rest.find(']');
  if (close == std::string_view::npos || close > 48) return text;
  const std::string_view inside = rest.substr(1, close - 1);
  const bool pid = inside.starts_with("pid:") && inside.find(",cpu") != std::string_view::npos;
  const size_t colon = inside.find(':');
  const bool task = colon != std::string_view::npos && colon > 0 && colon < 8 &&
                    std::all_of(inside.begin(), inside.begin() + static_cast<ptrdiff_t>(colon), is_digit) &&
                    inside.find_first_of("/:", colon + 1) != std::string_view::npos;
  const bool mtk = c.at() > 1 && text.find('(') < text.find('[') && colon != std::string_view::npos;
  if (!pid && !task && !mtk) return text;
  return rest.substr(close + 1 + (rest.substr(close + 1).starts_with(" ") && task ? 1 : 0));
}

// "[   12.345678]", "[   12.345678][  T9]", "[Thu Jan 15 23:28:55 2025]", "[2026-04-17T09:35:14Z INFO  scx_x]"
bool bracket(std::string_view line, TextLine& out) {
  LineCursor c(line);
  if (!c.take('[')) return false;
  c.blanks();
  uint64_t seconds = 0, us = 0;
  if (c.peek() == '+') {  // dmesg -d: "[  +0.000010]"
    c.skip(1);
    if (!c.digits(1, 10) || !c.take('.') || !c.digits(3, 9) || !c.take(']')) return false;
    if (c.peek() == ' ') c.skip(1);
    out.text = without_vendor(c.rest());
    if (out.origin == Origin::kUnknown) out.origin = Origin::kKernel;
    return true;
  }
  if (const LineCursor start = c; c.digits(1, 10, &seconds) && c.take('.')) {
    const size_t begin = c.at();
    uint64_t fraction = 0;
    if (!c.digits(3, 9, &fraction)) return false;
    for (size_t n = c.at() - begin; n < 9; ++n) fraction *= 10;
    if (!c.take(']')) return false;
    out.monotonic_ns = seconds * 1'000'000'000 + fraction;
    out.set_when(line.substr(1, c.at() - 2), out.monotonic_ns / 1000 + 1);
    if (c.peek() == '[' ||
        (c.peek() == ' ' && c.peek(1) == '[' && (c.peek(2) == ' ' || c.peek(2) == 'T' || c.peek(2) == 'C'))) {
      LineCursor caller = c;  // CONFIG_PRINTK_CALLER
      caller.blanks();
      caller.skip(1);
      caller.blanks();
      if ((caller.take('T') || caller.take('C')) && caller.digits(1, 8) && caller.take(']')) c = caller;
    }
    if (c.peek() == ' ') c.skip(1);
    out.text = without_vendor(c.rest());
    // A stamp at the kernel's own place makes it the kernel's; "host kernel: " may still follow.
    if (out.origin == Origin::kUnknown) out.origin = Origin::kKernel;
    return true;
  } else {
    c = start;
  }
  if (LineCursor iso = c; take_iso(iso, us)) {  // env_logger
    const size_t close = line.find(']', iso.at());
    if (close == std::string_view::npos || close > iso.at() + 96) return false;
    const std::string_view inside = line.substr(iso.at(), close - iso.at());
    bool level = false;
    for (std::string_view name : {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"})
      level = level || inside.find(name) != inside.npos;
    if (!level && !trim(inside).empty()) return false;
    out.set_when(line.substr(1, iso.at() - 1), us);
    if (level) {
      out.origin = Origin::kProcess;
      out.level = true;
    }
    out.text = line.substr(close + 1);
    if (out.text.starts_with(" ")) out.text.remove_prefix(1);
    return true;
  }
  uint64_t month = 0, day = 0, time = 0;
  if (LineCursor human = c; take_month(human, month) && month != 0 && human.digits(1, 2, &day) &&
                            human.take(' ') && human.digits(2, 2) && human.take(':') && human.digits(2, 2) &&
                            human.take(']')) {
    out.set_when(line.substr(1, human.at() - 2), 0);  // dmesg -H: "[Nov26 10:11]"
    if (out.origin == Origin::kUnknown) out.origin = Origin::kKernel;
    if (human.peek() == ' ') human.skip(1);
    out.text = human.rest();
    return true;
  }
  // dmesg -T
  LineCursor t = c;
  const size_t close = line.find(']');
  if (close == std::string_view::npos || close > 48) return false;
  while (t.peek() && t.peek() != ' ') t.skip(1);
  t.blanks();
  if (!take_month(t, month)) {
    // Some languages have the day first.
    if (!t.digits(1, 2, &day)) return false;
    t.blanks();
    if (!take_month(t, month)) return false;
    t.blanks();
  } else {
    t.blanks();
    if (!t.digits(1, 2, &day)) return false;
    t.blanks();
  }
  if (!take_time(t, time)) return false;
  out.set_when(line.substr(1, close - 1), (month * 31 + day) * 86'400'000'000 + time);
  out.origin = Origin::kKernel;
  out.text = line.substr(close + 1);
  if (out.text.starts_with(" ")) out.text.remove_prefix(1);
  return true;
}

// After a date: "host kernel: ", "kernel: ", "host bash[1052]: ". True when there was a name. `sure`: the date is one that
// loggers put before a host; else only the kernel and a process with a number are names ("Backtrace:" is none).
bool take_names(std::string_view rest, TextLine& out, bool sure) {
  std::string_view left = rest;
  for (int words = 0; words < 2; ++words) {
    left.remove_prefix(std::min(left.find_first_not_of(' '), left.size()));
    const size_t blank = left.find(' ');
    const std::string_view word = left.substr(0, blank);
    if (word.empty() || word.size() > 128) return false;
    if (word.front() == '[') {
      // A stamp of the kernel's: what stands before is the host, as a netconsole's receiver writes it.
      if (words == 0 || !sure) return false;
      TextLine stamped;
      if (!bracket(left, stamped) || stamped.monotonic_ns == 0) return false;
      out.text = left;
      out.origin = Origin::kKernel;
      return true;
    }
    if (word.back() == ':' && word.size() > 1) {
      const std::string_view name = word.substr(0, word.size() - 1);
      const bool unit = std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '[' || c == ']' || c == '_' || c == '-' ||
               c == '.' || c == '@' || c == '/' || c == '(' || c == ')';
      });
      if (!unit || name == "libbpf" || name == "sched_ext" || name == "BUG" || name == "WARNING" ||
          name == "Oops" || name == "rcu" || name == "watchdog" || name == "INFO" || name == "Error" ||
          std::all_of(name.begin(), name.end(), is_digit))
        return false;
      // A host stands before a name. "Call Trace:" and "Hardware name:" after a date are no host and its process.
      const bool own = name == "kernel" || (name.ends_with(']') && is_digit(name[name.size() - 2]));
      if (!own && (!sure || words == 0 || name == "Trace" || name == "trace" || name == "name" ||
                   name == "in" || name == "by" || name == "PID"))
        return false;
      out.process = name;
      out.origin = name == "kernel" ? Origin::kKernel : Origin::kProcess;
      out.text = blank == std::string_view::npos ? std::string_view() : left.substr(blank + 1);
      return true;
    }
    if (blank == std::string_view::npos) return false;
    left.remove_prefix(blank);
  }
  return false;
}

// "Sep 23 13:02:57 host kernel: ", "paź 02 22:24:03 host bash[612]: ", "Fri 2025-01-17 22:24:05 MSK host x: "
bool syslog(std::string_view line, TextLine& out) {
  LineCursor c(line);
  uint64_t month = 0, day = 0, time = 0;
  if (!take_month(c, month) || c.peek() != ' ') return false;
  c.blanks();
  if (LineCursor full = c; take_iso(full, time)) {  // journalctl -o short-full
    out.set_when(line.substr(0, full.at()), time);
    if (full.peek() != ' ') return false;
    std::string_view rest = full.rest().substr(1);
    const size_t blank = rest.find(' ');  // the zone
    if (blank == std::string_view::npos || !take_names(rest.substr(blank), out, true)) return false;
    return true;
  }
  if (!c.digits(1, 2, &day) || c.peek() != ' ') return false;
  c.blanks();
  if (!take_time(c, time) || c.peek() != ' ') return false;
  out.set_when(line.substr(0, c.at()), month ? (month * 31 + day) * 86'400'000'000 + time : 0);
  if (!take_names(c.rest(), out, true)) out.text = c.rest().substr(1);
  return true;
}

// tracing's "  WARN ThreadId(01) crate::mod: file.rs:12: text", simplelog's "[WARN] text"; false: no level here.
bool level(std::string_view text, TextLine& out) {
  std::string_view rest = text;
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const bool square = rest.starts_with("[");
  if (square) rest.remove_prefix(1);
  std::string_view name;
  for (std::string_view known : {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"})
    if (rest.starts_with(known)) name = known;
  if (name.empty()) return false;
  rest.remove_prefix(name.size());
  if (square) {
    if (!rest.starts_with("]")) return false;
    rest.remove_prefix(1);
  }
  if (rest.empty() || rest.front() != ' ') return false;
  rest.remove_prefix(1);
  if (out.origin == Origin::kUnknown)
    out.origin = Origin::kProcess;  // who printed the whole line is known else
  out.level = true;
  if (!square) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    if (rest.starts_with("ThreadId(")) rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
    // "crate::module: " and "path/file.rs:12: ".
    for (int i = 0; i < 2; ++i) {
      const size_t blank = rest.find(' ');
      if (blank == std::string_view::npos) break;
      const std::string_view word = rest.substr(0, blank);
      const bool module =
          word.ends_with(":") && word != "libbpf:" && word != "Error:" && word != "EXIT:" &&
          (word.find("::") != word.npos || word.find(".rs:") != word.npos || word.starts_with("scx_"));
      if (!module) break;
      rest.remove_prefix(blank + 1);
    }
  }
  out.text = rest;
  return true;
}

// "1737141845.123456 host kernel: " (short-unix), "2025-…T…Z …", "22:38:36 [WARN] …"
bool numeric(std::string_view line, TextLine& out) {
  LineCursor c(line);
  uint64_t us = 0;
  if (record_prefix(line, out)) return true;
  if (LineCursor iso = c; take_iso(iso, us)) {
    if (iso.peek() != ' ' && iso.peek() != '\t' && !iso.done()) return false;
    out.set_when(line.substr(0, iso.at()), us);
    out.text = iso.rest();
    for (std::string_view stream : {" stdout F ", " stderr F ", " stdout P ", " stderr P "})  // CRI
      if (out.text.starts_with(stream)) {
        out.text.remove_prefix(stream.size());
        return true;
      }
    if (level(out.text, out)) return true;
    if (out.text.starts_with(" ") || out.text.starts_with("\t")) out.text.remove_prefix(1);
    if (out.text.starts_with("[")) return true;  // another stamp
    take_names(out.text, out, false);
    return true;
  }
  if (LineCursor time = c; take_time(time, us)) {
    if (time.peek() != ' ') return false;
    if (!level(time.rest(), out)) return false;
    out.set_when(line.substr(0, time.at()), us);
    return true;
  }
  uint64_t seconds = 0, fraction = 0;
  if (!c.digits(9, 11, &seconds) || !c.take('.') || !c.digits(6, 6, &fraction) || c.peek() != ' ')
    return false;
  out.set_when(line.substr(0, c.at()), seconds * 1'000'000 + fraction);
  return take_names(c.rest(), out, true);
}

// dmesg -x: "kern  :info  : [    0.000000] text"
bool facility(std::string_view line, TextLine& out) {
  static constexpr std::string_view kFacilities[] = {"kern", "user", "daemon", "syslog"};
  for (std::string_view name : kFacilities) {
    if (!line.starts_with(name)) continue;
    LineCursor c(line);
    c.skip(name.size());
    c.blanks();
    if (!c.take(':')) return false;
    while (std::isalpha(static_cast<unsigned char>(c.peek()))) c.skip(1);
    c.blanks();
    if (!c.take(':')) return false;
    if (c.peek() == ' ') c.skip(1);
    out.text = c.rest();
    out.origin = name == "kern" ? Origin::kKernel : Origin::kProcess;
    return true;
  }
  return false;
}

// "  scx_flash-353 [003] d..2.  123.456789: sched_ext_dump: TEXT": a trace buffer's line.
bool ftrace(std::string_view line, TextLine& out) {
  constexpr std::string_view kEvent = ": sched_ext_dump: ";
  const size_t at = line.substr(0, 120 + kEvent.size()).find(kEvent);
  if (at == std::string_view::npos || line.find('[') > at) return false;
  out.text = line.substr(at + kEvent.size());
  out.origin = Origin::kProcess;
  return true;
}

}  // namespace

void TextLine::set_when(std::string_view stamp, uint64_t position) {
  if (!when.empty()) return;
  when = trim(stamp);
  order = position;
}

std::string_view without_escapes(std::string_view line, std::string& buffer) {
  bool controls = false;  // no early end: the compiler makes vectors of it
  for (const char c : line) controls |= static_cast<unsigned char>(c) < 0x20 && c != '\t';
  if (!controls) return line;
  buffer = printable(line);
  return buffer;
}

TextLine strip_prefixes(std::string_view line) {
  TextLine out;
  out.text = line;
  for (int round = 0; round < 8; ++round) {
    const std::string_view text = out.text;
    if (text.empty()) break;
    // Blanks before a stamp are not the text's own.
    size_t indent = 0;
    while (indent < text.size() && (text[indent] == ' ' || text[indent] == '\t')) ++indent;
    const std::string_view inner = text.substr(indent);
    if (inner.empty()) break;
    bool taken = false;
    const char c = inner.front();
    if (c == '[') {
      taken = bracket(inner, out);
      if (!taken) taken = level(inner, out);
      if (const std::string_view rest = without_vendor(inner); !taken && rest.size() != inner.size()) {
        out.text = rest;
        taken = true;
      }
    } else if (is_digit(c)) {
      taken = numeric(inner, out);
    } else if (c == '<' && inner.size() > 2 && is_digit(inner[1])) {
      const size_t close = inner.find('>');
      if (close <= 4) {
        out.text = inner.substr(close + 1);
        taken = true;
      }
    } else if (c == '<' && (inner.starts_with("<pre>") || inner.starts_with("<code>"))) {
      out.text = inner.substr(inner.find('>') + 1);
      taken = true;
    } else if (c == '|' && inner.size() > 1 && inner[1] == ' ') {
      out.text = inner.substr(2);
      taken = true;
    } else if (c == '`' && inner.size() > 2 && inner.back() == '`' && inner[1] != '`') {
      out.text = inner.substr(1, inner.size() - 2);  // code in Markdown
      taken = true;
    } else if (c == '>') {  // a quote of mail or Markdown
      out.text = inner.substr(inner.size() > 1 && inner[1] == ' ' ? 2 : 1);
      taken = true;
    } else if (std::isalpha(static_cast<unsigned char>(c)) || (c & 0x80)) {
      taken = facility(inner, out);
      if (!taken && inner.starts_with("kernel: ")) {
        out.text = inner.substr(8);
        out.origin = Origin::kKernel;
        out.process = inner.substr(0, 6);
        taken = true;
      }
      if (!taken) taken = syslog(inner, out);
      // "[12.345678] host kernel: ": journalctl -o short-monotonic.
      if (!taken && round > 0 && out.process.empty() && out.monotonic_ns != 0) {
        const size_t blank = inner.find(' ');
        if (blank != std::string_view::npos && blank < 64) {
          std::string_view second = inner.substr(blank + 1);
          const size_t colon = second.find(": ");
          if (colon != std::string_view::npos && colon < 64 &&
              second.substr(0, colon).find(' ') == std::string_view::npos &&
              (second.starts_with("kernel: ") || second.substr(0, colon).ends_with("]")))
            taken = take_names(inner, out, true);
        }
      }
      if (!taken) taken = ftrace(inner, out);
      if (!taken && indent == 0 && (c == 'W' || c == 'I' || c == 'E' || c == 'D')) {
        // tracing without a stamp: "WARN crate::mod: text"
        const size_t blank = inner.find(' ');
        if (blank != std::string_view::npos && blank <= 5 && inner.find("::") != std::string_view::npos)
          taken = level(inner, out);
      }
    } else if (inner.starts_with("#012") || inner.starts_with("#011")) {
      out.text = inner.substr(4);  // rsyslog's line feed and tab
      taken = true;
    } else {
      taken = ftrace(inner, out);
    }
    if (!taken) break;
  }
  if (out.text.ends_with('>'))
    for (std::string_view tag : {"<br>", "<br/>", "<br />", "</pre>", "</code>", "</p>", "</div>", "</pre>"})
      if (out.text.ends_with(tag)) out.text.remove_suffix(tag.size());
  while (out.text.ends_with(' ') || out.text.ends_with('\t')) out.text.remove_suffix(1);
  const std::string_view plain = trim(out.text);
  out.fence = plain.starts_with("```") || plain.starts_with("~~~") || plain == "</details>";
  if (out.fence) out.text = {};
  return out;
}

}  // namespace ktstr
