#include "scx/load_failure.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/line_buffers.h"
#include "base/numbers.h"
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
      "regs=",          "parent ",    "cur state:",        "old state:",  "Func#",       "safe",
      "frame",          "insn ",      "total_states"};
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

std::string file_of(std::string_view where) { return std::string(where.substr(0, where.rfind(':'))); }

std::string clipped(std::string_view t) { return std::string(t.substr(0, 400)); }

// "; if (ret) @ arena.bpf.c:26"
bool source_line(std::string_view t) {
  if (!t.starts_with("; ")) return false;
  const size_t at = t.rfind(" @ ");
  const size_t colon = t.rfind(':');
  return at != t.npos && colon != t.npos && colon > at && colon + 1 < t.size() && is_digit(t[colon + 1]);
}

bool count_line(std::string_view t) { return t.starts_with("processed ") && contains(t, " insns (limit"); }

// The verifier's own lines, where its log has lost its first line.
bool verifier_text(std::string_view t) {
  return source_line(t) || (insn_line(t) && contains(t, ") ")) || t.starts_with("BPF program is too large.");
}

std::string_view word_at(std::string_view t, size_t at) {
  t = t.substr(std::min(at, t.size()));
  return t.substr(0, t.find_first_of(" ,;"));
}

// What an objection of the verifier is about.
void classify_objection(LoadFailure& f) {
  const std::string_view r = f.reason;
  if (r.empty()) {
    f.cause = LoadCause::kCutLog;
    return;
  }
  f.cause = LoadCause::kVerifier;
  if (contains(r, "is referenced but wasn't resolved") || r.starts_with("calling kernel function")) {
    f.symbol = r.starts_with("calling") ? std::string(word_at(r, 24)) : quoted(r, 0);
    if (!r.starts_with("calling")) f.cause = LoadCause::kMissingKfunc;
  } else if (contains(r, "cannot use helper") || r.starts_with("unknown func") ||
             contains(r, "helper call is not allowed")) {
    f.cause = LoadCause::kHelper;
    const size_t at = r.find("helper ") != r.npos ? r.find("helper ") + 7 : 13;
    f.symbol = word_at(r, at);
    f.symbol = f.symbol.substr(0, f.symbol.find('#'));
  } else if (r.starts_with("BPF program is too large") || contains(r, "is too complex")) {
    f.cause = LoadCause::kTooLarge;
  } else if (contains(r, "failed to find the address for kernel symbol")) {
    f.cause = LoadCause::kMissingSymbol;
    f.symbol = quoted(r, 0);
  } else if (constexpr std::string_view kRelocation = "failed to resolve CO-RE relocation <";
             r.starts_with(kRelocation)) {
    // "… <byte_off> [33] struct scx_exit_info.kind (0:0 @ offset 0)"
    const size_t type = r.find("] ");
    f.cause = LoadCause::kMissingType;
    if (type != r.npos) f.symbol = r.substr(type + 2, r.find(" (", type) - type - 2);
  }
}

int weight(LoadCause cause) {
  switch (cause) {
    case LoadCause::kOther:
      return 1;
    case LoadCause::kErrno:
      return 2;
    case LoadCause::kNotSupported:
    case LoadCause::kPermission:
      return 3;
    case LoadCause::kAttachNull:
      return 4;
    case LoadCause::kBusy:
    case LoadCause::kAttachTooBig:
    case LoadCause::kAttachInvalid:
    case LoadCause::kMap:
      return 5;
    case LoadCause::kCutLog:
      return 6;
    case LoadCause::kNoBtf:
      return 8;
    default:
      return 7;
  }
}

// Of "-22", "-EINVAL", "Invalid argument", "(os error 95)": the number; 0: not told.
int errno_of(std::string_view text) {
  struct Known {
    std::string_view name, words;
    int number;
  };
  static constexpr Known kKnown[] = {
      {"EPERM", "Operation not permitted", 1},       {"E2BIG", "Argument list too long", E2BIG},
      {"EINVAL", "Invalid argument", EINVAL},        {"EBUSY", "Device or resource busy", 16},
      {"EOPNOTSUPP", "Operation not supported", 95}, {"ENOTSUPP", "Unknown error 524", 524}};
  if (const size_t os = text.find("os error "); os != text.npos) {
    std::string_view digits = text.substr(os + 9);
    digits = digits.substr(0, std::min(digits.find_first_not_of("0123456789"), digits.size()));
    if (auto n = parse_number<int>(digits)) return *n;
  }
  for (const Known& known : kKnown)
    if (contains(text, known.name) || contains(text, known.words)) return known.number;
  if (const size_t minus = text.rfind('-'); minus != text.npos) {
    std::string_view digits = text.substr(minus + 1);
    digits = digits.substr(0, std::min(digits.find_first_not_of("0123456789"), digits.size()));
    if (auto n = parse_number<int>(digits); n && *n < 4096) return *n;
  }
  return 0;
}

LoadCause cause_of_errno(int error, bool attach) {
  switch (error) {
    case E2BIG:
      return attach ? LoadCause::kAttachTooBig : LoadCause::kErrno;
    case EINVAL:
      return attach ? LoadCause::kAttachInvalid : LoadCause::kErrno;
    case 1:
      return LoadCause::kPermission;
    case 16:
      return attach ? LoadCause::kBusy : LoadCause::kErrno;
    case 95:
    case 524:
      return LoadCause::kNotSupported;
    default:
      return LoadCause::kErrno;
  }
}

}  // namespace

void LoadFailureScanner::offer(LoadFailure failure) {
  if (!best_ || weight(failure.cause) > weight(best_->cause)) best_ = std::move(failure);
}

void LoadFailureScanner::begin_log(std::string program) {
  current_ = LoadFailure{};
  current_.program = std::move(program);
  head_file_.clear();
  own_.clear();
  statements_ = 0;
  calls_.clear();
  in_log_ = true;
  headless_ = log_over_ = followed_ = false;
}

void LoadFailureScanner::end_log() {
  in_log_ = false;
  if (current_.program.empty()) current_.program = load_program_;
  if (!load_error_.empty() && (load_program_.empty() || load_program_ == current_.program))
    current_.error = load_error_;
  classify_objection(current_);
  if (current_.reason.empty() && log_over_) current_.cause = LoadCause::kErrno;
  // The verifier's log is cut off before its last words, but nothing else of a load ends with E2BIG.
  if (current_.reason.empty() && errno_of(current_.error) == E2BIG) current_.cause = LoadCause::kTooLarge;
  if (current_.reason.empty()) current_.reason = current_.error;
  find_reference();
  // At its exit a program stands on its head line: the statement before tells the way out.
  const bool at_exit = contains(current_.insn, "(95) exit");
  if (!own_.empty() && (at_exit || file_of(current_.where) != head_file_)) current_.own = own_;
  offer(current_);
}

// "24: (85) call bpf_task_from_pid#..." under its statement.
void LoadFailureScanner::note_call(std::string_view insn) {
  constexpr size_t kMaxCalls = 8192;
  const size_t colon = insn.find(": (85)");
  if (colon == insn.npos || current_.where.empty() || calls_.size() == kMaxCalls) return;
  const auto number = parse_number<uint32_t>(insn.substr(0, colon));
  if (!number) return;
  const std::string place = statement();
  if (calls_.empty() || calls_.back().first != *number) calls_.emplace_back(*number, place);
}

// "Unreleased reference id=3 alloc_insn=24": where instruction 24 is.
void LoadFailureScanner::find_reference() {
  constexpr std::string_view kAlloc = "alloc_insn=";
  const size_t at = current_.reason.find(kAlloc);
  if (at == std::string::npos) return;
  std::string_view digits = std::string_view(current_.reason).substr(at + kAlloc.size());
  digits = digits.substr(0, std::min(digits.find_first_not_of("0123456789"), digits.size()));
  const auto number = parse_number<uint32_t>(digits);
  for (const auto& [insn, place] : calls_)
    if (number && insn == *number) current_.taken = place;
}

std::string LoadFailureScanner::statement() const {
  return current_.source.empty() ? current_.where : current_.where + ": " + current_.source;
}

bool LoadFailureScanner::line(std::string_view text) {
  text = text.substr(0, kMaxKeptLineBytes);
  const size_t prog = text.find("prog '");
  if (prog != text.npos && contains(text, "-- BEGIN PROG LOAD LOG --")) {
    if (in_log_) end_log();
    begin_log(quoted(text, prog));
    return true;
  }
  const size_t libbpf = text.find("libbpf: ");
  if (in_log_) {
    if (contains(text, "-- END PROG LOAD LOG --")) {
      end_log();
      return true;
    }
    const bool ends = libbpf == 0 || text.starts_with("Error: ") || (headless_ && log_over_);
    if (!ends) {
      verifier_line(text);
      return true;
    }
    end_log();
  }
  if (verifier_text(text)) {
    begin_log("");
    headless_ = true;
    verifier_line(text);
    return true;
  }
  if (count_line(text) && !last_[0].empty()) {  // all that is left of a log
    begin_log("");
    headless_ = log_over_ = true;
    current_.reason = !last_[1].empty() && !state_line(last_[1]) ? last_[1] + "; " + last_[0] : last_[0];
    return true;
  }
  pass(text);
  if (prog != text.npos && (contains(text, "load failed: ") || contains(text, "failed to load: "))) {
    load_error_ = clipped(text.substr(text.rfind(": ") + 2));
    load_program_ = quoted(text, prog);
    if (best_ && best_->program.empty() && weight(best_->cause) >= weight(LoadCause::kCutLog) &&
        libbpf != text.npos) {
      best_->program = load_program_;  // its log came before, without its first line
      best_->error = load_error_;
    }
    LoadFailure failure;
    failure.cause = LoadCause::kErrno;
    failure.program = load_program_;
    failure.reason = failure.error = load_error_;
    offer(std::move(failure));
    return true;
  }
  if (libbpf != text.npos) return libbpf_line(text.substr(libbpf + 8));
  return process_line(text);
}

void LoadFailureScanner::pass(std::string_view text) {
  std::swap(last_[0], last_[1]);
  last_[0].assign(trim(text).substr(0, 400));
}

bool LoadFailureScanner::libbpf_line(std::string_view message) {
  static constexpr std::string_view kFailures[] = {"not found",    "failed", "Failed",  "can't",
                                                   "cannot",       "Cannot", "invalid", "unsupported",
                                                   "incompatible", "Error",  "missing"};
  static constexpr std::string_view kHarmless[] = {"skipping",
                                                   "ignor",
                                                   "falling back",
                                                   "failed to load object",
                                                   "BTF object #",
                                                   "btf: type [",
                                                   " not found in kernel, skip"};
  if (contains(message, "program isn't referenced anywhere")) {
    LoadFailure unused;
    unused.cause = LoadCause::kUnusedProgram;
    unused.program = unused.symbol = quoted(message, 0);
    unused.reason = clipped(message);
    offer(std::move(unused));
    return true;
  }
  auto says = [&](std::string_view word) { return contains(message, word); };
  if (std::none_of(std::begin(kFailures), std::end(kFailures), says) ||
      std::any_of(std::begin(kHarmless), std::end(kHarmless), says))
    return false;
  LoadFailure failure;
  failure.reason = clipped(message);
  failure.symbol = quoted(message, 0);
  failure.attach = contains(message, "attach");
  if (message.starts_with("extern (func ksym)")) {
    failure.cause = contains(message, "incompatible") ? LoadCause::kPrototype : LoadCause::kMissingKfunc;
  } else if (message.starts_with("failed to open system Kconfig")) {
    failure.cause = LoadCause::kNoKconfig;
  } else if (contains(message, "sched_ext_ops is not found in kernel BTF")) {
    failure.cause = LoadCause::kNoSchedExt;
  } else if (constexpr std::string_view kTypeId = "failed to find kernel BTF type ID of ";
             contains(message, kTypeId)) {
    failure.cause = LoadCause::kMissingType;
    failure.symbol = quoted(message, message.find(kTypeId));
    if (message.starts_with("prog '")) failure.program = quoted(message, 0);
  } else if (message.starts_with("extern ") && contains(message, "kallsyms")) {
    failure.cause = LoadCause::kMissingSymbol;
  } else if (message.starts_with("extern ")) {
    failure.cause = LoadCause::kMissingVariable;
  } else if (const size_t member = message.find("Cannot find member "); member != message.npos) {
    failure.cause = LoadCause::kMissingMember;
    failure.symbol = word_at(message, member + 19);
  } else if (contains(message, "failed to find valid kernel BTF") ||
             contains(message, "Error loading vmlinux BTF") || contains(message, "kernel BTF is missing")) {
    failure.cause = LoadCause::kNoBtf;
    failure.symbol.clear();
  } else if (message.starts_with("map '") && contains(message, "create")) {
    failure.cause = LoadCause::kMap;
  } else if (failure.attach && message.starts_with("prog '")) {
    failure.cause = LoadCause::kProbeAttach;
    failure.program = failure.symbol;
    failure.error = clipped(message.substr(message.rfind(' ') + 1));
  } else if (failure.attach) {
    failure.cause = cause_of_errno(errno_of(message), true);
  } else if (message.starts_with("failed to load BPF skeleton")) {
    failure.cause = cause_of_errno(errno_of(message), false);
    failure.error = clipped(message.substr(message.rfind(' ') + 1));
  }
  offer(std::move(failure));
  return true;
}

// What the scheduler's own program says: "Error: Failed to load BPF program", then "Operation not supported (os error 95)".
bool LoadFailureScanner::process_line(std::string_view text) {
  const bool failed = contains(text, "ailed to ") || contains(text, "rror") || contains(text, "annot ") ||
                      contains(text, "ould not ") || contains(text, "nable to ");
  const bool attaches = contains(text, "attach") && contains(text, "scheduler");
  if (failed && (attaches || contains(text, "BPF") || contains(text, "bpf") || contains(text, "skel") ||
                 contains(text, "struct ops") || contains(text, "struct_ops"))) {
    // "Failed to attach non-struct_ops BPF programs": the scheduler itself was not reached.
    stage_ = !contains(text, "attach") ? "load" : contains(text, "non-struct_ops") ? "probe" : "attach";
  }
  LoadFailure failure;
  failure.reason = clipped(text.substr(std::min(text.find_first_not_of(" \t"), text.size())));
  failure.attach = !stage_.empty() && stage_ != "load";
  if (contains(text, "malformed scx kfunc prototype")) {
    failure.cause = LoadCause::kPrototype;
  } else if (stage_ == "probe" && (contains(text, "(os error ") || (failed && errno_of(text) != 0))) {
    failure.cause = LoadCause::kProbeAttach;
    failure.error = failure.reason;
  } else if (contains(text, "attach_struct_ops") && contains(text, "returned NULL")) {
    failure.cause = LoadCause::kAttachNull;
  } else if (!stage_.empty() && (contains(text, "(os error ") || (failed && errno_of(text) != 0))) {
    failure.cause = cause_of_errno(errno_of(text), stage_ == "attach");
    failure.error = failure.reason;
  } else {
    return !stage_.empty() && text.starts_with("Caused by");
  }
  offer(std::move(failure));
  return true;
}

void LoadFailureScanner::verifier_line(std::string_view text) {
  if (log_over_) return;
  if (count_line(text)) {
    log_over_ = true;
  } else if (text.starts_with("; ")) {
    const size_t at = text.rfind(" @ ");
    if (!head_file_.empty() && file_of(current_.where) == head_file_ && ++statements_ > 1) own_ = statement();
    current_.source = clipped(text.substr(2, at == text.npos ? at : at - 2));
    while (current_.source.ends_with(';') || current_.source.ends_with(' ')) current_.source.pop_back();
    current_.where = at == text.npos ? "" : clipped(text.substr(at + 3));
    if (head_file_.empty()) head_file_ = file_of(current_.where);
    current_.reason.clear();
    followed_ = false;
  } else if (insn_line(text)) {
    const std::string_view objection = after_jump(text);
    text.remove_suffix(objection.size());
    current_.insn = clipped(text.substr(0, text.find(';')));
    while (current_.insn.ends_with(' ')) current_.insn.pop_back();
    current_.reason = clipped(objection);  // else it is after its instruction
    note_call(text);
    followed_ = false;
  } else if (state_line(text)) {
    // "Validating match_layer() func#1..."; its end: "Func#1 ('match_layer') is safe for any args that match its prototype".
    if (text.starts_with("Validating ")) current_.function = clipped(text.substr(11, text.find('(') - 11));
    if (text.starts_with("Func#") && contains(text, "is safe for")) current_.function.clear();
  } else if (current_.reason.empty()) {
    current_.reason = clipped(text);
  } else if (!followed_) {
    // The line that follows says what was expected, or who called; not the explanations that 7.3 adds.
    if ((text.front() >= 'a' && text.front() <= 'z') || text.starts_with("Caller "))
      current_.reason += "; " + clipped(text);
    followed_ = true;
  }
}

bool LoadFailureScanner::other_cause(std::string_view text) const {
  if (verifier_text(text)) return true;
  const size_t libbpf = text.find("libbpf: ");
  if (libbpf == text.npos) return false;
  LoadFailureScanner one;
  one.libbpf_line(text.substr(libbpf + 8));
  return one.decided() && !(best_ && best_->cause == one.best_->cause && best_->symbol == one.best_->symbol);
}

bool LoadFailureScanner::decided() const {
  return !in_log_ && best_ && weight(best_->cause) >= weight(LoadCause::kCutLog);
}

std::optional<LoadFailure> LoadFailureScanner::failure() const {
  if (!in_log_) return best_;
  LoadFailureScanner cut = *this;  // the log ends inside the verifier's words
  cut.end_log();
  return cut.best_;
}

}  // namespace ktstr
