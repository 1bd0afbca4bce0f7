#include "scx/scx_exit_parser.h"

#include <algorithm>

#include "base/numbers.h"
#include "base/text.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kMaxExits = 16;
constexpr size_t kMaxExitMessage = 4096;
constexpr std::string_view kTriggered = " triggered exit kind ";
constexpr std::string_view kOnCpu = " on CPU ";
constexpr std::string_view kSchedExt = "sched_ext: ";
constexpr std::string_view kDisabled = "disabled (";

// "REASON (MESSAGE)", "REASON": the message may hold parentheses, a reason never does.
void split_reason(std::string_view text, ScxExit& exit) {
  const size_t open = text.find(" (");
  exit.reason = text.substr(0, open);
  if (open == std::string_view::npos) return;
  std::string_view message = text.substr(open + 2);
  if (message.ends_with(")")) message.remove_suffix(1);
  exit.message = message.substr(0, kMaxExitMessage);
}

const ScxExit* first_error(const std::vector<ScxExit>& exits) {
  if (exits.empty()) return nullptr;
  auto error = std::find_if(exits.begin(), exits.end(), [](const ScxExit& e) { return e.is_error(); });
  return error != exits.end() ? &*error : &exits.front();
}

std::optional<ScxExit> copy_of(const ScxExit* exit) { return exit ? std::optional(*exit) : std::nullopt; }

}  // namespace

std::optional<OpsLine> parse_ops_line(std::string_view text) {
  constexpr std::string_view kRoot = "sched_ext: BPF scheduler \"", kSub = "sched_ext: BPF sub-scheduler \"";
  OpsLine out;
  if (text.starts_with(kRoot)) {
    text.remove_prefix(kRoot.size());
  } else if (text.starts_with(kSub)) {
    text.remove_prefix(kSub.size());
    out.sub = true;
  } else {
    return std::nullopt;
  }
  const size_t quote = text.find('"');
  out.name = text.substr(0, quote);
  if (quote != std::string_view::npos) out.rest = trim(text.substr(quote + 1));
  return out;
}

uint64_t ScxExit::known_kind() const { return kind != 0 ? kind : exit_kind_of(reason); }

bool ScxExit::is_error() const {
  const uint64_t known = known_kind();
  return known != 0 ? is_scx_error(known) : !backtrace.empty();
}

void ScxExitParser::feed(std::string_view line, const DumpContext& context) {
  if (take_header(line, context)) return;
  const std::string_view text = trim(line);
  switch (expect_) {
    case Expect::kHeader:
      if (text.starts_with("EXIT: ")) take_exit_line(text.substr(6));
      if (text.starts_with("Error: EXIT: ")) take_exit_line(text.substr(13));
      if (!text.empty()) previous_ = text.substr(0, 256);
      return;
    case Expect::kReason:
      return take_reason(text);
    case Expect::kMessageRest:
      // A message may hold line breaks: it ends at the blank line before the backtrace.
      if (auto frame = parse_trace_frame(text)) {  // a journal drops blank lines, a paste any line
        split_reason(reason_line_, exits_.back());
        exits_.back().backtrace.push_back(std::move(*frame));
        expect_ = Expect::kFrames;
        return;
      }
      if (text == "CPU states" ||
          (text.starts_with("CPU ") && text.find(": nr_run=") != std::string_view::npos)) {
        split_reason(reason_line_, exits_.back());
        expect_ = Expect::kHeader;
        return;
      }
      if (!text.empty() && text != "Backtrace:") {
        if (reason_line_.size() + text.size() < kMaxExitMessage) reason_line_ += " " + std::string(text);
        return;
      }
      split_reason(reason_line_, exits_.back());
      expect_ = text.empty() ? Expect::kBacktrace : Expect::kFrames;
      return;
    case Expect::kBacktrace:
      if (text == "Backtrace:") expect_ = Expect::kFrames;
      if (text == "CPU states") expect_ = Expect::kHeader;
      return;
    case Expect::kFrames: {
      auto frame = parse_trace_frame(text);
      if (!frame) {
        expect_ = Expect::kHeader;
      } else if (exits_.back().backtrace.size() < kMaxFrames) {
        exits_.back().backtrace.push_back(std::move(*frame));
      }
      return;
    }
  }
}

bool ScxExitParser::take_header(std::string_view line, const DumpContext& context) {
  while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
  if (!line.ends_with(":")) return false;
  const size_t at = line.find(kTriggered);
  if (at == std::string_view::npos) return false;
  auto task = parse_task_name(trim(line.substr(0, at)));
  std::string_view rest = line.substr(at + kTriggered.size());
  rest.remove_suffix(1);
  const size_t on = rest.find(kOnCpu);
  auto kind = parse_number(rest.substr(0, on), 0);
  if (!task || !kind || exits_.size() >= kMaxExits) return false;
  ScxExit exit;
  exit.kind = *kind;
  exit.comm = task->comm;
  exit.pid = task->pid;
  exit.guest_ns = context.guest_ns;
  if (on != std::string_view::npos) {
    if (auto cpu = parse_number(rest.substr(on + kOnCpu.size()))) exit.cpu = static_cast<int>(*cpu);
  } else if (context.pid == exit.pid) {
    exit.cpu = context.cpu;  // the dump is taken where the trigger was
  }
  // "NAME: root", "NAME: sub1-4242 /some/cgroup"
  if (previous_.ends_with(": root")) {
    exit.ops_name = previous_.substr(0, previous_.size() - 6);
  } else if (const size_t sub = previous_.find(": sub");
             sub != std::string::npos && sub + 5 < previous_.size() && is_digit(previous_[sub + 5])) {
    exit.ops_name = previous_.substr(0, sub);
  }
  exits_.push_back(std::move(exit));
  expect_ = Expect::kReason;
  return true;
}

void ScxExitParser::take_reason(std::string_view text) {
  if (text.empty()) return;
  reason_line_ = text.substr(0, kMaxExitMessage);
  split_reason(reason_line_, exits_.back());  // the dump may end here
  expect_ = Expect::kMessageRest;
}

void ScxExitParser::take_exit_line(std::string_view text) {
  if (exits_.size() >= kMaxExits) return;
  ScxExit exit;
  split_reason(text, exit);
  // An error's line repeats its dump; orderly exits of one reason are told apart by their message.
  const bool known = std::any_of(exits_.begin(), exits_.end(), [&](const ScxExit& e) {
    return e.reason == exit.reason && (exit.is_error() || e.message == exit.message);
  });
  if (!known) exits_.push_back(std::move(exit));
}

std::optional<ScxExit> ScxExitParser::result() const { return copy_of(peek()); }
const ScxExit* ScxExitParser::peek() const { return first_error(exits_); }

std::string ScxExitParser::last_message(std::string_view reason) const {
  for (auto exit = exits_.rbegin(); exit != exits_.rend(); ++exit)
    if (exit->reason == reason && !exit->message.empty()) return exit->message;
  return {};
}

void ScxConsoleParser::feed(std::string_view line, uint64_t guest_ns) {
  if (const auto ops = parse_ops_line(line)) {
    open_ = errored_ = false;
    const bool disabled = ops->rest.starts_with(kDisabled);
    const bool errored = ops->rest.starts_with("errored, disabling");
    if ((!disabled && !errored) || exits_.size() >= kMaxExits) return;
    ScxExit exit;
    exit.ops_name = ops->name;
    exit.guest_ns = guest_ns;
    if (disabled) {
      exit.reason = ops->rest.substr(kDisabled.size());
      if (exit.reason.ends_with(")")) {
        exit.reason.pop_back();
      } else if (exit.reason = exit_reason_of(exit.reason); exit.reason.empty()) {
        return;  // cut off where several reasons could go on
      }
    }
    exits_.push_back(std::move(exit));
    open_ = true;
    others_ = 0;
    errored_ = errored;
    return;
  }
  if (!open_) return take_orphan(line, guest_ns);
  ScxExit& exit = exits_.back();
  if (errored_ && line.starts_with(kSchedExt)) {
    errored_ = false;
    split_reason(line.substr(kSchedExt.size()), exit);
    return;
  }
  const size_t name_end = kSchedExt.size() + exit.ops_name.size();
  if (line.starts_with(kSchedExt) && line.substr(kSchedExt.size()).starts_with(exit.ops_name) &&
      line.substr(name_end).starts_with(": ")) {
    exit.message = line.substr(name_end + 2, kMaxExitMessage);
  } else if (auto frame = parse_trace_frame(line); frame && exit.backtrace.size() < kMaxFrames) {
    exit.backtrace.push_back(std::move(*frame));
    others_ = 0;
  } else if (!exit.backtrace.empty()) {
    // A driver may print between two frames; another trace may not follow.
    constexpr int kMostOthers = 2;
    if (begins_trace(line) || ++others_ > kMostOthers) open_ = false;
  }
}

// The beginning of something that has a trace of its own.
bool ScxConsoleParser::begins_trace(std::string_view line) {
  static constexpr std::string_view kStarts[] = {
      "Call Trace:", "Call trace:",  "CPU: ", "RIP: ",      "WARNING: ",
      "BUG: ",       "INFO: ",       "Oops",  "pc : ",      "------------[ cut ",
      "task:",       "Kernel panic", "rcu: ", "watchdog: ", "Sending NMI"};
  return std::any_of(std::begin(kStarts), std::end(kStarts),
                     [&](std::string_view start) { return line.starts_with(start); });
}

// "sched_ext: NAME: MESSAGE" whose line before is lost. Only the message of an exit has frames below it.
void ScxConsoleParser::take_orphan(std::string_view line, uint64_t guest_ns) {
  if (line.starts_with(kSchedExt)) {
    const std::string_view rest = line.substr(kSchedExt.size());
    const size_t colon = rest.find(": ");
    orphan_.reset();
    if (colon == std::string_view::npos || rest.substr(0, colon).find(' ') != std::string_view::npos) return;
    orphan_ = ScxExit{};
    orphan_->ops_name = rest.substr(0, colon);
    orphan_->message = rest.substr(colon + 2, kMaxExitMessage);
    orphan_->guest_ns = guest_ns;
    return;
  }
  if (!orphan_) return;
  auto frame = parse_trace_frame(line);
  if (frame && exits_.size() < kMaxExits) {
    exits_.push_back(std::move(*orphan_));
    exits_.back().backtrace.push_back(std::move(*frame));
    open_ = true;
    others_ = 0;
  }
  orphan_.reset();
}

std::optional<ScxExit> ScxConsoleParser::result() const { return copy_of(peek()); }
const ScxExit* ScxConsoleParser::peek() const { return first_error(exits_); }
std::optional<ScxExit> ScxConsoleParser::last() const {
  return exits_.empty() ? std::nullopt : std::optional(exits_.back());
}

StampedText split_stamp(std::string_view line) {
  StampedText out{0, line};
  if (!line.starts_with("[")) return out;
  const size_t close = line.find(']');
  if (close == std::string_view::npos) return out;
  const std::string_view stamp = trim(line.substr(1, close - 1));
  const size_t dot = stamp.find('.');
  if (dot == std::string_view::npos || stamp.size() - dot - 1 != 6) return out;
  auto seconds = parse_number(stamp.substr(0, dot));
  auto micros = parse_number(stamp.substr(dot + 1));
  if (!seconds || !micros || *seconds > 1'000'000'000) return out;
  out.guest_ns = *seconds * 1'000'000'000 + *micros * 1000;
  std::string_view rest = line.substr(close + 1);
  if (rest.starts_with("[")) {  // CONFIG_PRINTK_CALLER
    const size_t caller = rest.find(']');
    if (caller != std::string_view::npos) rest = rest.substr(caller + 1);
  }
  if (rest.starts_with(" ")) rest.remove_prefix(1);
  out.text = rest;
  return out;
}

}  // namespace ktstr
