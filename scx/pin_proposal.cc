#include "scx/pin_proposal.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "base/wording.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "scx/error_pin.h"

namespace ktstr {
namespace {

constexpr size_t kMinLiteral = 8;  // shorter ones are in other errors' texts too
constexpr size_t kMaxBefore = 16u << 20;

bool word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// A byte as itself. RE2::QuoteMeta escapes every mark, which nobody can read.
void quote(char c, std::string* out) {
  if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) *out += '\\';
  *out += c;
}

class Generalizer {
 public:
  Generalizer(std::string_view text, const std::vector<std::string>& comms) : text_(text), comms_(comms) {}

  std::string run(std::vector<std::string>* literals) {
    while (at_ < text_.size()) {
      if (task() || hex() || number()) continue;
      quote(text_[at_], &pattern_);
      literal_ += text_[at_++];
    }
    end_literal();
    if (literals) *literals = std::move(literals_);
    return std::move(pattern_);
  }

 private:
  bool starts_word() const { return at_ == 0 || !word(text_[at_ - 1]); }

  void end_literal() {
    if (!literal_.empty()) literals_.push_back(std::move(literal_));
    literal_.clear();
  }
  void put(std::string_view general, size_t length) {
    end_literal();
    pattern_ += general;
    at_ += length;
  }

  // "comm[123]", and a known task's name alone.
  bool task() {
    if (!starts_word()) return false;
    const std::string_view rest = text_.substr(at_);
    for (const std::string& comm : comms_) {
      if (comm.empty() || !rest.starts_with(comm)) continue;
      const size_t pid = pid_length(rest.substr(comm.size()));
      if (pid == 0 && (comm.size() < 3 || (rest.size() > comm.size() && word(rest[comm.size()])))) continue;
      const std::string name = comm.find(' ') == std::string::npos ? "\\S+" : ".+";
      put(pid ? name + "\\[[0-9]+\\]" : name, comm.size() + pid);
      return true;
    }
    const size_t open = rest.find('[');
    const size_t space = rest.find(' ');
    if (open == std::string_view::npos || open == 0 || space < open || rest[0] == '(') return false;
    const size_t pid = pid_length(rest.substr(open));
    if (pid == 0) return false;
    put("\\S+\\[[0-9]+\\]", open + pid);
    return true;
  }
  static size_t pid_length(std::string_view s) {
    if (s.size() < 3 || s[0] != '[') return 0;
    size_t n = 1;
    while (n < s.size() && is_digit(s[n])) ++n;
    return n > 1 && n < s.size() && s[n] == ']' ? n + 1 : 0;
  }

  // "0xbad", and a bare address or tag: eight digits or more, with a letter among them.
  bool hex() {
    const std::string_view rest = text_.substr(at_);
    if (rest.size() > 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X') && is_hex_digit(rest[2])) {
      put("0[xX][0-9a-fA-F]+", 2 + run_of(rest.substr(2), is_hex_digit));
      return true;
    }
    const size_t n = run_of(rest, is_hex_digit);
    const std::string_view digits = rest.substr(0, n);
    if (!starts_word() || n < 8 || (n < rest.size() && word(rest[n])) ||
        std::none_of(digits.begin(), digits.end(), is_digit))
      return false;
    put("[0-9a-fA-F]+", n);
    return true;
  }

  bool number() {
    const std::string_view rest = text_.substr(at_);
    const bool minus = rest.size() > 1 && rest[0] == '-' && is_digit(rest[1]) && starts_word();
    if (!minus && !is_digit(rest[0])) return false;
    // A digit within a name belongs to it, as 2 does in "layer2_cell": it tells one error from another.
    if (at_ > 0 && (std::isalpha(static_cast<unsigned char>(text_[at_ - 1])) != 0 || text_[at_ - 1] == '_'))
      return false;
    size_t n = minus ? 1 : 0;
    n += run_of(rest.substr(n), is_digit);
    std::string general = minus ? "-?[0-9]+" : "[0-9]+";
    if (n + 1 < rest.size() && rest[n] == '.' && is_digit(rest[n + 1])) {
      n += 1 + run_of(rest.substr(n + 1), is_digit);
      general += "\\.[0-9]+";
    }
    put(general, n);
    return true;
  }

  template <typename F>
  static size_t run_of(std::string_view s, F is) {
    size_t n = 0;
    while (n < s.size() && is(s[n])) ++n;
    return n;
  }

  std::string_view text_;
  const std::vector<std::string>& comms_;
  size_t at_ = 0;
  std::string pattern_, literal_;
  std::vector<std::string> literals_;
};

std::string_view without_opening(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '(')) s.remove_suffix(1);
  return s;
}

std::vector<std::string> known_tasks(const CrashDetectedT& crash) {
  std::vector<std::string> comms;
  for (const std::string& comm : {crash.stall_task_comm, crash.task_comm})
    if (!comm.empty() && comm != crash.ops_name) comms.push_back(comm);
  return comms;
}

size_t lines_of(std::string_view text) {
  return text.empty() ? 0 : static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
}

std::string lines(size_t n) { return std::to_string(n) + (n == 1 ? " line" : " lines"); }

// A TOML string; single quotes where nothing needs escaping, so that a pattern stays readable.
std::string toml_string(const std::string& s) {
  const bool plain = std::all_of(s.begin(), s.end(), [](char c) {
    return c != '\'' && (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  });
  if (plain && s.find('\\') != std::string::npos) return "'" + s + "'";
  std::string out = "\"";
  for (char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7f) {
      static constexpr char kHex[] = "0123456789abcdef";
      out += std::string("\\u00") + kHex[u >> 4] + kHex[u & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// A comment takes one line.
std::string comment(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return "# " + text + "\n";
}

Error no_crash(const PinEvidence& e) {
  if (!e.attached && !e.crash && e.died)
    return Error::not_found("the scheduler never attached: its load failed")
        .with_hint("a failed load is never the expected error, so it cannot be pinned");
  if (!e.crash && e.died)
    return Error::not_found("the scheduler's process died, and the kernel found no fault in the scheduler")
        .with_hint(
            "a pin looks at the scheduler's log and the sched_ext dump: pin a line that it printed, by hand");
  if (!e.crash)
    return Error::not_found("this log records no crash")
        .with_hint("a pin needs a run in which the scheduler failed");
  return Error::not_found("the crash is one of the kernel (" + e.crash->reason +
                          "), not an error of the scheduler")
      .with_hint(
          "its text is on the console; a pin sees the scheduler's log and the sched_ext dump only, and such "
          "a "
          "crash is never a pass");
}

}  // namespace

std::string generalize_message(std::string_view message, const std::vector<std::string>& comms,
                               std::vector<std::string>* literals) {
  return Generalizer(message, comms).run(literals);
}

void PinEvidence::fold(const EventBuffer& event) {
  corpus.fold(event);
  if (auto* line = event.as<SchedulerLine>()) {
    if (!dumping && before.size() + str(line->text()).size() < kMaxBefore) {
      if (!before.empty()) before += '\n';
      before += str(line->text());
    }
  } else if (event.as<DumpLine>()) {
    dumping = true;
  } else if (event.as<SchedulerDetached>()) {
    dumping = true;
  } else if (event.as<SchedulerAttached>()) {
    attached = true;
  } else if (auto* exited = event.as<SchedulerExited>()) {
    died = !exited->requested();
  } else if (auto* seen = event.as<CrashDetected>()) {
    crash.emplace();
    seen->UnPackTo(&*crash);
  }
}

std::string PinProposal::toml() const {
  std::string out = comment(title);
  out += "expect_err = true\n";
  if (!contains.empty()) out += "expect_scx_bpf_error_contains = " + toml_string(contains) + "\n";
  out += "expect_scx_bpf_error_matches = " + toml_string(matches) + "\n";
  for (const std::string& p : proofs) out += comment(p);
  return out;
}

Result<PinProposal> propose_pin(const PinEvidence& primary, const PinEvidence& repro) {
  if (!primary.crash || primary.crash->kind != CrashKind::SchedExtExit) return no_crash(primary);
  const CrashDetectedT& crash = *primary.crash;
  const std::string corpus = primary.corpus.text();
  // A message of several lines is one line in the crash: the part of it that is in the corpus unchanged.
  std::string message = crash.message.empty() ? crash.reason : crash.message;
  while (!message.empty() && corpus.find(message) == std::string::npos) {
    const size_t cut = message.find_last_of(' ');
    message.resize(cut == std::string::npos ? 0 : cut);
  }
  if (message.empty())
    return Error::not_found("the crash's text (" + in_quotes(crash.message) + ") is not in the corpus")
        .with_hint("a pin sees the scheduler's log and the sched_ext dump; this log has " +
                   lines(lines_of(corpus)) + " of them");

  PinProposal p;
  p.title = "pins: " + crash.reason + (crash.message.empty() ? "" : ": " + crash.message);
  std::vector<std::string> literals;
  p.matches = generalize_message(message, known_tasks(crash), &literals);
  for (const std::string& piece : literals)
    if (without_opening(piece).size() >= kMinLiteral && without_opening(piece).size() > p.contains.size())
      p.contains = without_opening(piece);

  auto compile = [&] {
    PinPatterns patterns;
    patterns.matches = p.matches;
    if (!p.contains.empty()) patterns.contains = p.contains;
    return ErrorPin::compile(patterns);
  };
  const std::string with_reason = crash.reason + " (" + message;
  if (p.contains.empty() && !crash.reason.empty() && corpus.find(with_reason) != std::string::npos) {
    p.contains =
        crash.reason;  // the message is little more than numbers and names: the kernel's reason belongs to it
    p.matches = generalize_message(with_reason, known_tasks(crash), nullptr);
  }
  auto pin = compile();
  if (!pin) return std::move(pin).error();
  if (!pin->check(corpus, true).matched())
    return Error::not_found("no pattern was found that matches this crash: " + in_quotes(p.matches));
  const char* both = p.contains.empty() ? "it matches" : "both match";
  const char* neither = p.contains.empty() ? "it does not match" : "together they do not match";
  p.proofs.push_back(std::string("proved: ") + both + " this run's corpus (" + lines(lines_of(corpus)) +
                     "), and the gate for empty matches lets them through");
  if (!primary.before.empty())
    p.proofs.push_back(pin->check(primary.before, false).matched()
                           ? "careful: they match what the scheduler printed before it failed, too"
                           : std::string("proved: ") + neither + " the " + lines(lines_of(primary.before)) +
                                 " that the scheduler printed before it failed, nor an empty text");
  else if (!pin->check("", false).matched())
    p.proofs.push_back(std::string("proved: ") + neither + " an empty text");
  const std::string again = repro.corpus.text();
  if (repro.crash && repro.crash->kind == CrashKind::SchedExtExit && !again.empty())
    p.proofs.push_back(pin->check(again, true).matched()
                           ? "proved: the repro VM's corpus, another run of the same crash, is matched too"
                           : "careful: the repro VM's corpus is not matched; it crashed in another way (" +
                                 repro.crash->message + ")");
  return p;
}

}  // namespace ktstr
