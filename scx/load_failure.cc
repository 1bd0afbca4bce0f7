#include "scx/load_failure.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/line_buffers.h"
#include "base/text.h"

namespace ktstr {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// The text between the first pair of quotes after `from`.
std::string quoted(std::string_view text, size_t from) {
  size_t begin = text.find('\'', from);
  if (begin == text.npos) return {};
  size_t end = text.find('\'', begin + 1);
  return std::string(text.substr(begin + 1, end == text.npos ? end : end - begin - 1));
}

// Lines of a verifier log that tell of its state, not of its objection.
bool state_line(std::string_view t) {
  static constexpr std::string_view kPrefixes[] = {
      "from ",          "processed ", "verification time", "stack depth", "max_states",  "func ",
      "func#",          "arg#",       "mark_precise",      "reg type ",   "caller:",     "callee:",
      "returning from", "to caller",  "propagating ",      "live regs",   "Validating ", "last_idx",
      "regs=",          "parent ",    "cur state:",        "old state:",  "Func#",       "safe"};
  if (t.empty() || t.starts_with(";") || t.starts_with(" ")) return true;
  for (std::string_view prefix : kPrefixes)
    if (t.starts_with(prefix)) return !contains(t, "unsupported reg type") && !contains(t, "invalid");
  size_t i = 0;
  if (t.size() > 2 && t[0] == 'R' &&
      is_digit(t[1])) {  // "R1=ctx() R10=fp0", "R1_w=..."; not "R1 invalid mem access"
    i = 1;
    while (i < t.size() && is_digit(t[i])) ++i;
    return i < t.size() && (t[i] == '=' || t[i] == '_');
  }
  while (i < t.size() && is_digit(t[i])) ++i;
  return i > 0 && (t.substr(i).starts_with(": R") || t.substr(i).starts_with(": frame"));
}

bool insn_line(std::string_view t) {
  size_t i = 0;
  while (i < t.size() && is_digit(t[i])) ++i;
  return i > 0 && (t.substr(i).starts_with(": (") || t.substr(i).starts_with(": <"));
}

// A jump's line has no end until its target is known: an objection may follow on it. "10: (55) if r3 != 0x4d
// goto pc-5 infinite loop detected at insn 6". Empty: none.
std::string_view after_jump(std::string_view t) {
  size_t at = t.find("goto pc");
  if (at == t.npos) return {};
  at += 7;
  while (at < t.size() && (t[at] == '+' || t[at] == '-' || is_digit(t[at]))) ++at;
  if (at >= t.size() || t[at] != ' ') return {};
  const std::string_view rest = t.substr(std::min(t.find_first_not_of(' ', at), t.size()));
  return state_line(rest) || rest.starts_with("may_goto") ? std::string_view() : rest;
}

std::string clipped(std::string_view t) { return std::string(t.substr(0, 400)); }

}  // namespace

void LoadFailureScanner::line(std::string_view text) {
  text = text.substr(0, kMaxKeptLineBytes);
  if (in_log_) return verifier_line(text);
  size_t prog = text.find("prog '");
  if (prog != text.npos && contains(text, "-- BEGIN PROG LOAD LOG --")) {
    std::string error = std::exchange(load_error_, {});
    current_ = {.program = quoted(text, prog)};
    load_error_ = std::move(error);
    in_log_ = true;
    log_over_ = false;
    return;
  }
  if (refused_) return;
  if (prog != text.npos && contains(text, "load failed: ")) {
    load_error_ = clipped(text.substr(text.find("load failed: ") + 13));
    current_ = {.program = quoted(text, prog)};
    return;
  }
  size_t libbpf = text.find("libbpf: ");
  if (libbpf == text.npos || !missing_.empty()) return;
  std::string_view message = text.substr(libbpf + 8);
  static constexpr std::string_view kFailures[] = {"not found", "failed",      "can't",        "cannot",
                                                   "invalid",   "unsupported", "incompatible", "Error"};
  static constexpr std::string_view kHarmless[] = {"skipping", "ignor", "falling back",
                                                   "failed to load object"};
  auto says = [&](std::string_view word) { return contains(message, word); };
  if (std::any_of(std::begin(kFailures), std::end(kFailures), says) &&
      std::none_of(std::begin(kHarmless), std::end(kHarmless), says))
    missing_ = clipped(message);
}

void LoadFailureScanner::verifier_line(std::string_view text) {
  if (contains(text, "-- END PROG LOAD LOG --")) {
    in_log_ = false;
    if (current_.reason.empty()) current_.reason = load_error_;
    if (!refused_) refused_ = current_;
    return;
  }
  if (log_over_) return;
  if (text.starts_with("processed ") && contains(text, " insns")) {
    log_over_ = true;
  } else if (text.starts_with("; ")) {
    size_t at = text.rfind(" @ ");
    current_.source = clipped(text.substr(2, at == text.npos ? at : at - 2));
    while (current_.source.ends_with(';') || current_.source.ends_with(' ')) current_.source.pop_back();
    current_.where = at == text.npos ? "" : clipped(text.substr(at + 3));
    current_.reason.clear();
  } else if (insn_line(text)) {
    const std::string_view objection = after_jump(text);
    text.remove_suffix(objection.size());
    current_.insn = clipped(text.substr(0, text.find(';')));
    while (current_.insn.ends_with(' ')) current_.insn.pop_back();
    current_.reason = clipped(objection);  // else it is after its instruction
  } else if (text.starts_with("Caller passes invalid args") && !current_.reason.empty()) {
    current_.reason += "; " + clipped(text);  // the objection before is about the callee's parameter
  } else if (!state_line(text) && current_.reason.empty()) {
    current_.reason = clipped(text);
  }
}

std::optional<LoadFailure> LoadFailureScanner::failure() const {
  if (refused_) return refused_;
  if (in_log_ && !current_.program.empty()) {  // the log ends inside the verifier's words
    LoadFailure cut = current_;
    if (cut.reason.empty()) cut.reason = load_error_;
    return cut;
  }
  if (!load_error_.empty()) return LoadFailure{.program = current_.program, .reason = load_error_};
  if (!missing_.empty()) return LoadFailure{.reason = missing_};
  return std::nullopt;
}

}  // namespace ktstr
