#include "explain/incident.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "base/numbers.h"
#include "base/text.h"
#include "explain/interesting_line.h"
#include "scx/scx_words.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kMaxLine = 16 << 10;
constexpr uint64_t kWindow = 600;      // lines after an interesting one that are read too
constexpr uint64_t kProcessGap = 400;  // lines without a word of a program end its text
constexpr size_t kMaxExits = 64;
constexpr size_t kBoundary = 5;  // blank lines in a row: the text was put together
constexpr std::string_view kSchedExt = "sched_ext: ";

bool has_part(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// "runnable task stall (clang++[13478] failed to run for 6.673s)", the reason of an error without the lines around it.
bool bare_reason(std::string_view text) {
  if (!text.ends_with(')')) return false;
  const size_t open = text.substr(0, 41).find(" (");
  return open != std::string_view::npos && open < 40 && is_scx_error(exit_kind_of(text.substr(0, open)));
}

}  // namespace

IncidentScanner::IncidentScanner() = default;
IncidentScanner::~IncidentScanner() = default;

LineRole IncidentScanner::feed(std::string_view raw, Origin origin, std::string_view when) {
  ++lines_;
  if (raw.size() > kMaxLine) raw = raw.substr(0, kMaxLine);
  const bool hit = RE2::PartialMatch(re2::StringPiece(raw.data(), raw.size()), interesting());
  if (hit) {
    if (lines_ > active_until_) {
      // What stands before may belong to it: a warning's text, a verifier's objection.
      const size_t n = std::min(recent_count_, recent_.size());
      for (size_t i = 0; i < n; ++i)
        process(recent_[(recent_count_ - n + i) % recent_.size()], origin, {}, lines_ - n + i, false);
    }
    active_until_ = lines_ + kWindow;
    recent_count_ = 0;
  } else if (lines_ > active_until_) {
    recent_[recent_count_++ % recent_.size()].assign(raw);
    return LineRole::kSkipped;
  }
  return process(raw, origin, when, lines_, hit);
}

LineRole IncidentScanner::process(std::string_view raw, Origin origin, std::string_view when, uint64_t number,
                                  bool hit) {
  // A paste that lost its line breaks: "[ 12.000001] first [ 12.000002] second".
  if (const size_t next = next_stamp(raw); next != std::string_view::npos) {
    const LineRole role = process(raw.substr(0, next), origin, when, number, hit);
    const LineRole rest = process(raw.substr(next), origin, when, number, hit);
    return rest == LineRole::kSkipped ? role : rest;
  }
  number_ = number;
  const TextLine line = strip_prefixes(without_escapes(raw, escapes_));
  const Origin from = origin != Origin::kUnknown ? origin : line.origin;
  when_ = !when.empty() ? when : line.when;
  const std::string_view text = line.text;
  if (counts_others(text)) return LineRole::kSkipped;
  if (line.fence) {  // what the program said is over
    load_.cut();
    end_.stop();
  }
  blank_run_ = text.empty() ? blank_run_ + 1 : 0;
  if (blank_run_ == kBoundary) boundary();
  LineRole role = from == Origin::kProcess ? LineRole::kProcess : LineRole::kKernel;
  if (process_last_ != 0 && number > process_last_ + kProcessGap) emit_process();
  if (text.starts_with("Linux version ")) new_boot(text.substr(14));
  if (header_line(text)) role = LineRole::kSkipped;
  if (dump_line(line, text, hit)) {
    role = LineRole::kDump;
  } else {
    // Who printed a line is a hint: a service prints the kernel's log, a netconsole a program's output.
    const bool others = from == Origin::kProcess && !hit && (faults_.open() || console_) &&
                        line.process != fault_process_ && line.process != console_process_;
    if (!others && kernel_line(line, text)) {
      role = LineRole::kKernel;
    } else if (process_line(line, text, from, hit)) {
      role = from == Origin::kKernel ? LineRole::kKernel : LineRole::kProcess;
    }
  }
  if (!text.empty()) previous_.assign(text);
  return role;
}

Incident IncidentScanner::base(uint64_t line, std::string_view when) const {
  Incident out;
  out.line = line;
  out.when = when;
  out.kernel = kernel_;
  out.running_ops = running_ops_;
  return out;
}

// What follows has nothing to do with what was before.
void IncidentScanner::boundary() {
  faults_.finish();
  take_faults();
  emit_process();
  rotate_console();
  rotate_dump({});
  flush_exits();
  emit_header();
  last_fault_.reset();
  previous_.clear();
  running_ops_.clear();
}

void IncidentScanner::new_boot(std::string_view release) {
  boundary();
  kernel_ = release.substr(0, std::min<size_t>(release.find(' '), 128));
}

// --- the kernel's log

bool IncidentScanner::kernel_line(const TextLine& line, std::string_view text) {
  const std::string_view plain = trim(text);
  auto open_console = [&](std::string_view ops) {
    rotate_console();
    console_ = std::make_unique<ExitSource>();
    console_->line = number_;
    console_->when = when_;
    console_->running_ops = ops.substr(0, 128);
    console_->kernel = kernel_;
    console_->console = true;
    console_process_ = line.process;
  };
  if (const auto ops = parse_ops_line(plain)) {
    anything_ = true;
    if (ops->rest.starts_with("enabled")) {
      if (!ops->sub) running_ops_ = ops->name.substr(0, 128);
      return true;
    }
    if (ops->rest.starts_with("disabled (") || ops->rest.starts_with("errored, disabling"))
      open_console(ops->name);
  } else if (plain.starts_with(kSchedExt)) {
    anything_ = true;
    const ScxExit* last = console_ ? console_->parser.peek() : nullptr;
    const bool told = last && !last->message.empty();
    // The message of an exit whose first line is lost, perhaps; the parser decides.
    if (!console_ || told) open_console(running_ops_);
  }
  if (console_) {
    console_->parser.feed(plain, line.monotonic_ns);
    console_->last = number_;
  }
  faults_.feed(text, line.monotonic_ns);
  if (faults_.just_opened()) {
    anything_ = true;
    fault_starts_.push_back({faults_.fed(), number_, when_});
    fault_process_ = line.process;
    // An exit whose backtrace was just being printed.
    console_message_at_fault_.clear();
    if (console_ && number_ <= console_->line + 24) {
      if (const ScxExit* exit = console_->parser.peek(); exit && !exit->backtrace.empty())
        console_message_at_fault_ = exit->message;
    }
  }
  take_faults();
  return faults_.took_last() || plain.starts_with(kSchedExt);
}

void IncidentScanner::take_faults() {
  while (auto read = faults_.take()) {
    Incident out = base(0, {});
    out.kind = IncidentKind::kFault;
    while (!fault_starts_.empty() && fault_starts_.front().fed < read->line) fault_starts_.pop_front();
    if (!fault_starts_.empty()) {
      out.line = fault_starts_.front().line;
      out.when = fault_starts_.front().when;
      fault_starts_.pop_front();
    }
    if (read->fault.kernel.empty()) read->fault.kernel = kernel_;
    if (!read->fault.kernel.empty()) kernel_ = out.kernel = read->fault.kernel;
    if (last_fault_ && last_fault_->interrupted) out.interrupted = std::move(last_fault_);
    out.interrupted_exit = std::exchange(console_message_at_fault_, {});
    last_fault_.reset();
    if (read->fault.interrupted) last_fault_ = read->fault;
    out.fault = std::move(read->fault);
    ready_.push_back(std::move(out));
  }
}

void IncidentScanner::rotate_console() {
  if (!console_) return;
  if (auto exit = console_->parser.result()) {
    console_->exit = std::move(*exit);
    console_->told = true;
    exits_.push_back(std::move(console_));
  }
  console_.reset();
  if (exits_.size() > kMaxExits) flush_exits();
}

// --- the dump, and what schedulers print of it

void IncidentScanner::start_dump() {
  dump_ = std::make_unique<ExitSource>();
  dump_->dump = std::make_shared<ScxDump>();
  dump_->line = dump_->last = number_;
  dump_->when = when_;
  dump_->running_ops = running_ops_;
  dump_->kernel = kernel_;
  anything_ = true;
}

void IncidentScanner::rotate_dump(std::string_view previous) {
  if (dump_) {
    if (auto exit = dump_->dump->exit()) {
      dump_->exit = std::move(*exit);
      dump_->told = true;
    }
    if (dump_->told || !dump_->dump->tasks().empty()) exits_.push_back(std::move(dump_));
    dump_.reset();
    if (exits_.size() > kMaxExits) flush_exits();
  }
  if (!previous.empty()) {
    start_dump();
    dump_->dump->feed(previous);
  }
}

bool IncidentScanner::dump_line(const TextLine& line, std::string_view text, bool hit) {
  if (!hit && !(dump_ && number_ <= dump_->last + 64)) return false;
  const std::string_view plain = trim(text);
  const bool header = plain.ends_with(':') && has_part(plain, " triggered exit kind ");
  const bool exit_line = plain.starts_with("EXIT: ") || plain.starts_with("Error: EXIT: ");
  const bool reason = !header && !exit_line && bare_reason(plain);
  const bool cpu = plain.starts_with("CPU ") && has_part(plain, ": nr_run=");
  const bool task = !cpu && plain.ends_with("ms") && has_part(plain, "] ") && plain.size() < 128;
  const bool recent = dump_ && number_ <= dump_->last + 64;
  if (header) {
    rotate_dump(previous_.empty() ? " " : std::string_view(previous_));
  } else if (exit_line || reason) {
    const std::string told =
        "EXIT: " + std::string(exit_line ? plain.substr(plain.find("EXIT: ") + 6) : plain);
    const ScxExit* before = dump_ ? dump_->dump->peek_exit() : nullptr;
    const std::string name =
        told.substr(6, told.find(" (") == std::string::npos ? std::string::npos : told.find(" (") - 6);
    // The reason below the header is read by the dump's own grammar.
    const bool below = before && before->reason.empty();
    const bool first = !before;
    if (before && !below && before->reason != name) rotate_dump({});
    if (!dump_) start_dump();
    if (!below && (exit_line || first)) {
      dump_->dump->feed(told);
      dump_->last = number_;
      return true;
    }
  } else if (cpu || task) {
    if (dump_ && cpu && recent) {
      const auto number = parse_number<int>(trim(plain.substr(4, plain.find(':') - 4)));
      const auto& cpus = dump_->dump->cpus();
      if (number && std::any_of(cpus.begin(), cpus.end(), [&](const DumpCpu& c) { return c.cpu == *number; }))
        rotate_dump({});
    }
    if (dump_ && !recent) rotate_dump({});
    if (!dump_) {
      // A line that only looks like a task must not begin a dump.
      ScxDump probe;
      probe.feed(text);
      if (probe.tasks().empty() && probe.cpus().empty()) return false;
      start_dump();
    }
  } else if (!recent) {
    return false;
  }
  // Another printer's lines are no part of the dump: the kernel's own log has a backtrace of the same exit.
  if (header || cpu || task || reason) {
    dump_->origin = line.origin;
  } else if (line.origin != dump_->origin && line.origin != Origin::kUnknown &&
             dump_->origin != Origin::kUnknown) {
    return false;
  } else if (line.origin == Origin::kKernel && dump_->origin == Origin::kUnknown) {
    return false;
  }
  const bool before_tasks = !dump_->dump->tasks().empty() || !dump_->dump->cpus().empty();
  const bool telling = header || cpu || task || reason || plain.empty() || has_part(plain, "=") ||
                       parse_trace_frame(plain) || plain == "Backtrace:" || plain == "CPU states" ||
                       plain.starts_with("----");
  const ScxExit* exit = dump_->dump->peek_exit();
  const bool told = exit && !exit->reason.empty();
  const bool mine = telling || !told;  // the message's lines, or the scheduler's own
  if (!mine && !before_tasks) return false;
  dump_->dump->feed(text);
  if (telling) dump_->last = number_;
  return telling || (dump_->dump->peek_exit() && !told);
}

void IncidentScanner::flush_exits() {
  for (auto& raw : joined_sources(std::exchange(exits_, {}))) {
    const bool orphan = raw->told && raw->exit.reason.empty() && !raw->exit.backtrace.empty();
    if (raw->told && !raw->exit.is_error() && !orphan) {
      const bool incomplete = raw->exit.known_kind() == 0 && !raw->exit.reason.empty();
      if (!incomplete) {
        note_orderly(raw->exit);
        continue;
      }
    }
    Incident out = base(raw->line, raw->when);
    out.kind = IncidentKind::kExit;
    out.running_ops = raw->running_ops;
    if (!raw->kernel.empty()) out.kernel = raw->kernel;
    out.exit = std::move(raw->exit);
    out.dump = raw->dump;
    out.on_console = raw->console;
    ready_.push_back(std::move(out));
  }
}

void IncidentScanner::note_orderly(const ScxExit& exit) {
  constexpr size_t kMaxTexts = 8;
  ++orderly_;
  std::string text = exit.reason.empty() ? exit_kind_name(exit.known_kind()) : exit.reason;
  if (!exit.message.empty()) text += " (" + exit.message.substr(0, 256) + ")";
  if (!exit.ops_name.empty()) text = exit.ops_name + ": " + text;
  if (orderly_texts_.size() < kMaxTexts) orderly_texts_.push_back(std::move(text));
}

// --- a scheduler's own program

// A program fails to load once, and ends once.
bool IncidentScanner::another_program(std::string_view text) const {
  const std::string_view plain = trim(text);
  const bool fails = has_part(plain, "libbpf: ") && !has_part(plain, "failed to load") &&
                     !has_part(plain, "failed to attach");
  if (process_over_ && fails) return true;
  if (plain.starts_with("Error: ")) return end_.end() && end_.end()->kind >= UserEndKind::kError;
  if (has_part(plain, "panicked at ")) return process_over_ && number_ > process_last_ + 20;
  if (!load_.decided()) return false;
  if (load_.other_cause(plain)) return true;
  return has_part(plain, "-- BEGIN PROG LOAD LOG --") || has_part(plain, "BPF program load failed");
}

bool IncidentScanner::process_line(const TextLine& line, std::string_view text, Origin from, bool hit) {
  // The other lines of a message have the same prefixes as its first one.
  const bool inside = load_.in_log() || end_.expects_more();
  const bool other =
      line.process != process_name_ || (from == Origin::kKernel) != (process_origin_ == Origin::kKernel);
  if (inside && other && !hit) return false;
  // The verifier's log is one message of its logger's.
  if (load_.in_log() && (line.level || has_part(text, "panicked at "))) load_.cut();
  if (!hit && !inside) {
    load_.pass(text);
    if (process_first_ != 0 && text.size() > 8) last_words_.assign(trim(text).substr(0, 256));
    return false;
  }
  if (process_first_ != 0 && another_program(text)) emit_process();
  const bool load = load_.line(trim(text));
  // The kernel's own log has errors of its own.
  const bool end = (from != Origin::kKernel || !has_part(text, "Error: ")) && end_.line(text);
  if (!load && !end) {
    const std::string_view plain = trim(text);
    if (!plain.empty() && process_first_ != 0 && plain.size() > 8) last_words_.assign(plain.substr(0, 256));
    return false;
  }
  anything_ = true;
  if (process_first_ == 0) {
    process_first_ = number_;
    process_when_ = when_;
  }
  process_name_ = line.process;
  process_origin_ = from;
  process_last_ = number_;
  process_over_ = process_over_ || has_part(text, "failed to load BPF skeleton") ||
                  text.starts_with("Error: ") || has_part(text, "-- END PROG LOAD LOG --") ||
                  has_part(text, "panicked at ") || has_part(text, "Failed to load skel") ||
                  has_part(text, "os error ");
  return true;
}

void IncidentScanner::emit_process() {
  Incident out = base(process_first_, process_when_);
  out.kind = IncidentKind::kProcess;
  out.load = load_.failure();
  out.end = end_.end();
  out.last_words = std::exchange(last_words_, {});
  const bool strong = out.load || (out.end && out.end->kind >= UserEndKind::kError);
  // After an exit of its scheduler a program ends with an error, as it must.
  bool after_exit = false;
  for (const auto& raw : exits_)
    after_exit = after_exit || (raw->line <= process_first_ && raw->line + kProcessGap >= process_first_);
  for (const ExitSource* raw : {console_.get(), dump_.get()})
    after_exit =
        after_exit || (raw && raw->line <= process_first_ && raw->last + kProcessGap >= process_first_);
  const bool consequence = after_exit && !out.load && out.end && out.end->kind <= UserEndKind::kError;
  auto orderly = [&](const ExitSource* raw) {
    if (!raw || !raw->told || raw->exit.is_error() || raw->line > process_first_ ||
        raw->line + kProcessGap < process_first_)
      return;
    out.before = raw->exit.reason;
    if (!raw->exit.message.empty()) out.before += " (" + raw->exit.message.substr(0, 256) + ")";
  };
  for (const auto& raw : exits_) orderly(raw.get());
  if (dump_) {
    if (const ScxExit* exit = dump_->dump->peek_exit();
        exit && !exit->is_error() && dump_->line <= process_first_)
      out.before = exit->reason + (exit->message.empty() ? "" : " (" + exit->message.substr(0, 256) + ")");
  }
  load_ = LoadFailureScanner();
  end_ = UserEndScanner();
  process_first_ = process_last_ = 0;
  process_over_ = false;
  if (strong && !consequence) ready_.push_back(std::move(out));
}

// crash(8): "       PANIC: "Kernel panic - not syncing: …"", "COMMAND: "x"", "CPU: 5", "PID: 12".
bool IncidentScanner::header_line(std::string_view text) {
  const std::string_view plain = trim(text);
  if (!header_ && (plain.empty() || (plain.front() != 'P' && plain.front() != 'R'))) return false;
  auto value = [&](std::string_view key) -> std::optional<std::string_view> {
    if (!plain.starts_with(key)) return std::nullopt;
    std::string_view v = trim(plain.substr(key.size()));
    if (v.starts_with("\"")) v = v.substr(1, v.rfind('"') == 0 ? v.size() : v.rfind('"') - 1);
    return v;
  };
  if (auto panic = value("PANIC: ")) {
    emit_header();
    header_ = base(number_, when_);
    header_->kind = IncidentKind::kHeader;
    header_->panic = panic->substr(0, 512);
    anything_ = true;
    return true;
  }
  if (auto release = value("RELEASE: "); release && release->find(' ') == std::string_view::npos) {
    kernel_ = release->substr(0, 128);
    return true;
  }
  if (!header_) return false;
  if (number_ > header_->line + 16) {
    emit_header();
    return false;
  }
  if (auto command = value("COMMAND: ")) {
    header_->command = command->substr(0, 64);
    return true;
  }
  if (auto cpu = value("CPU: "); cpu && cpu->find(' ') == std::string_view::npos) {
    header_->cpu = parse_number<int>(*cpu).value_or(-1);
    return true;
  }
  if (auto pid = value("PID: "); pid && pid->find(' ') == std::string_view::npos) {
    header_->pid = parse_number<int>(*pid).value_or(0);
    return true;
  }
  return false;
}

void IncidentScanner::emit_header() {
  if (!header_) return;
  header_->kernel = kernel_;
  ready_.push_back(std::move(*header_));
  header_.reset();
}

void IncidentScanner::finish() { boundary(); }

std::optional<Incident> IncidentScanner::take() {
  if (ready_.empty()) return std::nullopt;
  Incident out = std::move(ready_.front());
  ready_.pop_front();
  return out;
}

}  // namespace ktstr
