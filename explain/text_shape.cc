#include "explain/text_shape.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "explain/text_line.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kLines = 300;
constexpr std::string_view kSeparators = ":-|\t ";

// A line that says what it is: a stamp, a frame, or the beginning of something that crashes print.
bool readable(std::string_view raw) {
  static constexpr std::string_view kStarts[] = {"Call Trace:",  "Call trace:",
                                                 "Backtrace:",   "CPU states",
                                                 "CPU: ",        "CPU ",
                                                 "RIP: ",        "RSP: ",
                                                 "Code: ",       "Hardware ",
                                                 "Modules ",     "Sched_ext: ",
                                                 "sched_ext: ",  "libbpf: ",
                                                 "WARNING: ",    "BUG: ",
                                                 "Oops",         "INFO: ",
                                                 "kernel BUG",   "Kernel panic",
                                                 "task:",        "<TASK>",
                                                 "</TASK>",      "scx_state",
                                                 "sticky/",      "dsq_vtime=",
                                                 "cpus=",        "curr=",
                                                 "DEBUG DUMP",   "Error: ",
                                                 "Caused by:",   "thread '",
                                                 "note: run",    "EXIT: ",
                                                 "-- END PROG",  "processed ",
                                                 "---[ end",     "------------[ cut",
                                                 "; ",           "pc : ",
                                                 "lr : ",        "stack backtrace:",
                                                 "rcu: ",        "workqueue ",
                                                 "pwq ",         "-> #",
                                                 "but task is ", "which lock ",
                                                 "=====",        "frame #",
                                                 "* frame #",    "[ BUG: ",
                                                 "[ INFO: "};
  const TextLine line = strip_prefixes(raw);
  const std::string_view text = trim(line.text);
  if (!line.when.empty() || !line.process.empty()) return true;
  if (std::any_of(std::begin(kStarts), std::end(kStarts),
                  [&](std::string_view s) { return text.starts_with(s); }))
    return true;
  if (text.find(" triggered exit kind ") != text.npos || parse_trace_frame(text)) return true;
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return digits > 0 && (text.substr(digits).starts_with(": (") || text.substr(digits).starts_with(": R"));
}

// `name`, a number if there is one to be, and one separator. nullopt: the line has no such prefix.
std::optional<std::string_view> without(std::string_view raw, std::string_view name, bool numbered) {
  if (!raw.starts_with(name)) return std::nullopt;
  raw.remove_prefix(name.size());
  if (numbered) {
    if (!name.empty()) {
      if (raw.empty() || kSeparators.find(raw.front()) == kSeparators.npos) return std::nullopt;
      raw.remove_prefix(1);
    }
    raw.remove_prefix(std::min(raw.find_first_not_of(' '), raw.size()));
    const size_t digits = std::min(raw.find_first_not_of("0123456789"), raw.size());
    if (digits == 0 || digits > 9) return std::nullopt;
    raw.remove_prefix(digits);
    if (raw.empty()) return raw;
  } else if (raw.empty()) {
    return raw;
  }
  const char separator = raw.front();
  if (kSeparators.find(separator) == kSeparators.npos) return std::nullopt;
  raw.remove_prefix(1);
  if ((separator == '|' || separator == ' ') && raw.starts_with(" ")) raw.remove_prefix(1);
  return raw;
}

// The sign of a list, a diff or a quote: "* text", "+text", "| text".
std::optional<std::string_view> without_sign(std::string_view raw, std::string_view sign) {
  const std::string_view inner = raw.substr(std::min(raw.find_first_not_of(" \t"), raw.size()));
  if (!inner.starts_with(sign)) return std::nullopt;
  raw = inner.substr(sign.size());
  if (raw.starts_with(" ")) raw.remove_prefix(1);
  return raw;
}

// No more is known of a line that a broken line's rest is not: it has a stamp, or says what it is.
bool begins_line(std::string_view raw) { return readable(raw); }

}  // namespace

TextShape TextShape::of(std::string_view head) {
  TextShape shape;
  shape.characters_ = TextCharacters::of(head);
  TextCharacters characters = shape.characters_;
  std::vector<std::string> lines;
  std::string escapes;
  size_t all = 0, blank_between = 0, filled_between = 0;
  bool blank_before = true;
  while (!head.empty() && lines.size() < kLines) {
    const size_t end = head.find('\n');
    std::string_view line = head.substr(0, end);
    head.remove_prefix(end == head.npos ? head.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto decoded = characters.line(line);
    if (!decoded) continue;
    line = *decoded;
    const bool blank = trim(line).empty();
    if (++all > 1 && !blank_before) ++(blank ? blank_between : filled_between);
    blank_before = blank;
    if (!blank) lines.emplace_back(without_escapes(line, escapes));
  }
  shape.doubled_ = blank_between >= 4 && filled_between * 20 < blank_between;
  if (lines.size() < 2) return shape;

  // Names to try: what neighbours have in common, up to a separator.
  std::set<std::string_view> names = {""};
  for (size_t i = 0; i + 1 < lines.size() && i < 8; ++i) {
    const std::string_view a = lines[i], b = lines[i + 1];
    size_t common = 0;
    while (common < std::min({a.size(), b.size(), size_t{128}}) && a[common] == b[common]) ++common;
    size_t cuts = 0;
    for (size_t at = 0; at <= common && at < a.size() && cuts < 6; ++at)
      if (at > 0 && (a[at] == ':' || a[at] == '-' || a[at] == '|' || a[at] == '\t')) {
        names.insert(a.substr(0, at)), ++cuts;
      } else if (a[at] == ']' && a.front() == '[') {  // kubectl logs --prefix
        names.insert(a.substr(0, at + 1)), ++cuts;
      }
  }
  auto score = [&](std::string_view name, bool numbered, bool prefixed, bool sign = false) {
    size_t readable_ones = 0, taken = 0;
    for (const std::string& line : lines) {
      std::optional<std::string_view> rest = line;
      if (prefixed) rest = sign ? without_sign(line, name) : without(line, name, numbered);
      taken += rest.has_value();
      readable_ones += rest && readable(*rest);
    }
    return taken * 10 < lines.size() * (sign ? 8 : 9) ? 0 : readable_ones;
  };
  const size_t plain = score("", false, false);
  size_t best = plain + std::max<size_t>(1, lines.size() / 10) - (plain == 0 ? 1 : 0);
  for (std::string_view name : names)
    for (bool numbered : {false, true}) {
      if (name.empty() && !numbered) continue;
      const size_t points = score(name, numbered, true);
      if (points <= best) continue;
      best = points;
      shape.name_ = name;
      shape.numbered_ = numbered;
      shape.prefixed_ = true;
    }
  for (std::string_view sign : {"+", "-", "*", "|", "#", "//", "%", "!", "\u2022"}) {
    const size_t points = score(sign, false, true, true);
    if (points <= best) continue;
    best = points;
    shape.name_ = sign;
    shape.numbered_ = false;
    shape.prefixed_ = shape.sign_ = true;
  }
  std::vector<bool> begins;
  for (const std::string& line : lines) {
    const auto rest = shape.prefixed_ ? shape.sign_ ? without_sign(line, shape.name_)
                                                    : without(line, shape.name_, shape.numbered_)
                                      : std::optional<std::string_view>(line);
    begins.push_back(rest && begins_line(*rest));
  }
  shape.wrap_ = TextWrap::of(lines, begins);
  return shape;
}

void TextShape::feed(std::string_view raw, const OnLine& on_line) {
  if (!characters_.plain()) {
    const auto decoded = characters_.line(raw);
    if (!decoded) return;
    raw = *decoded;
  }
  if (!wrap_.any()) {
    if (const auto line = unprefixed(raw)) on_line(*line);
    return;
  }
  constexpr size_t kMaxJoined = 16u << 10;
  if (holds_ && held_.size() < kMaxJoined && !begins_line(raw) &&
      wrap_.goes_on(std::string_view(held_).substr(last_), raw)) {
    held_ += wrap_.joint();
    last_ = held_.size();
    held_ += wrap_.joint().empty() ? raw : trim(raw);
    return;
  }
  finish(on_line);
  held_.assign(raw);
  holds_ = true;
  last_ = 0;
}

void TextShape::finish(const OnLine& on_line) {
  if (!std::exchange(holds_, false)) return;
  if (const auto line = unprefixed(held_)) on_line(*line);
}

std::optional<std::string_view> TextShape::unprefixed(std::string_view raw) {
  if (prefixed_)
    if (const auto rest = sign_ ? without_sign(raw, name_) : without(raw, name_, numbered_)) raw = *rest;
  if (raw == "--") return std::nullopt;
  if (doubled_) {
    const bool blank = trim(raw).empty();
    const bool drop = blank && !was_blank_;
    was_blank_ = blank;
    if (drop) return std::nullopt;
  }
  return raw;
}

}  // namespace ktstr
