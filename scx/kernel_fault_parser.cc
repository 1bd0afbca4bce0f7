#include "scx/kernel_fault_parser.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/numbers.h"
#include "base/text.h"
#include "schemas/crash_generated.h"
#include "scx/crash_frames.h"
#include "scx/kernel_fault_words.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr uint64_t kApartNs = 20'000'000'000;  // later lines belong to another message

}  // namespace

void KernelFaultParser::feed(std::string_view text, uint64_t guest_ns) {
  ++line_;
  std::string_view line = trim(text);
  // A paste without line breaks: "====…==== WARNING: possible circular locking dependency detected"
  if (line.size() > 16 && (line.front() == '=' || line.front() == '-')) {
    const size_t rule = std::min(line.find_first_not_of(line.front()), line.size());
    if (rule >= 16 && rule < line.size() && line[rule] == ' ') line = trim(line.substr(rule));
  }
  if (open_ && guest_ns != 0 && last_ns_ != 0 &&
      (guest_ns > last_ns_ + kApartNs || guest_ns + kApartNs < last_ns_))
    close();
  if (line.starts_with("------------[ cut here")) {
    after_cut_ = took_ = true;
    since_cut_ = 0;
    before_.clear();
    return;
  }
  took_ = take_head(line, guest_ns);
  if (!took_) {
    if (open_) {
      ++lines_of_open_;
      took_ = take_line(line);
      if (took_) {
        unrelated_ = 0;
        if (guest_ns) last_ns_ = guest_ns;
      } else if (++unrelated_ > kMaxUnrelated || lines_of_open_ > kMaxLines) {
        close();
      }
    } else {
      took_ = take_headless(line, guest_ns);
    }
    if (after_cut_ && ++since_cut_ > 8) after_cut_ = false;
  }
  if (!line.empty()) before_.assign(line.substr(0, kMaxFaultMessage));
}

void KernelFaultParser::finish() {
  close();
  before_.clear();
  after_cut_ = false;
}

std::optional<ReadFault> KernelFaultParser::take() {
  if (ready_.empty()) return std::nullopt;
  ReadFault out = std::move(ready_.front());
  ready_.pop_front();
  return out;
}

// One trouble is told in several first lines: "list_del corruption…", "kernel BUG at", "Oops: …"; then its panic.
bool KernelFaultParser::continues(const FaultHead& head, std::string_view text) const {
  if (!open_) return false;
  const KernelFaultT& fault = open_->fault;
  if (head.kind == FaultKind::Panic) {
    if (!fault.panic.empty()) return false;
    // The kernel goes on after a warning, unless it was told to panic then.
    return crash_kind(fault.kind) ? fault.kind != FaultKind::Panic
                                  : fault_has(text, "panic_on_warn") || fault_has(text, " set ...");
  }
  const bool fell = fault.kind == FaultKind::Oops || fault.kind == FaultKind::KernelBug;
  const bool registers = !fault.task_comm.empty() && !fault.backtrace.empty();
  switch (head.kind) {
    case FaultKind::Oops:
      if (fell) return in_ == In::kDetail && !registers;
      return fault.kind == FaultKind::OtherBug && !registers && fault.backtrace.empty() &&
             in_ == In::kDetail && !fault.cut_head;
    case FaultKind::KernelBug:
      return fault.kind == FaultKind::ListCorruption ||
             (fault.kind == FaultKind::OtherBug && fault.backtrace.empty());
    case FaultKind::Warning:
      // decode_stacktrace and syzbot repeat the line for each inlined function.
      return (fault.kind == FaultKind::Warning && fault.file == head.file && fault.line == head.line &&
              head.line != 0 && fault.backtrace.empty() && in_ == In::kDetail) ||
             (fault.kind == FaultKind::ListCorruption && fault.backtrace.empty());
    case FaultKind::HungTask:
      return fault.kind == FaultKind::HungTask;
    case FaultKind::RcuStall:
      return fault.kind == FaultKind::RcuStall && fault.backtrace.empty();
    default:
      return false;
  }
}

void KernelFaultParser::merge(const FaultHead& head, std::string_view text) {
  KernelFaultT& fault = open_->fault;
  switch (head.kind) {
    case FaultKind::Panic: {
      std::string_view what = text.substr(std::min(text.find("syncing"), text.size()));
      what = what.substr(std::min<size_t>(what.size(), 7));
      if (what.starts_with(": ")) what.remove_prefix(2);
      if (fault.panic.empty()) fault.panic = clip_word(trim(what));
      if (fault.panic.empty()) fault.panic = "kernel panic";
      if (!fault.backtrace.empty()) in_ = In::kOver, traced_ = true;
      return;
    }
    case FaultKind::Oops:
      if (!head.title.empty() && (fault.title.empty() || fault.kind == FaultKind::OtherBug))
        fault.title = head.title;
      if (fault.kind == FaultKind::OtherBug) fault.kind = FaultKind::Oops;
      return;
    case FaultKind::Warning:
      if (!head.function.empty()) fault.function = head.function;
      if (fault.file.empty()) fault.file = head.file, fault.line = head.line;
      if (fault.cpu < 0) fault.cpu = head.cpu;
      return;
    case FaultKind::KernelBug:
      if (fault.file.empty()) fault.file = head.file, fault.line = head.line;
      if (fault.kind == FaultKind::OtherBug || fault.kind == FaultKind::ListCorruption)
        fault.kind = FaultKind::KernelBug;
      return;
    case FaultKind::HungTask: {
      traced_ = false;
      in_ = In::kDetail;
      in_locks_ = false;
      if (fault.tasks.size() >= kMaxTasks) return;
      auto task = std::make_unique<BlockedTaskT>();
      task->comm = head.comm;
      task->pid = head.pid;
      task->seconds = head.seconds;
      fault.tasks.push_back(std::move(task));
      return;
    }
    default:
      return;
  }
}

void KernelFaultParser::open_with(FaultHead head, std::string_view text, uint64_t guest_ns) {
  close(true);
  ReadFault read;
  read.guest_ns = guest_ns;
  read.line = line_;
  KernelFaultT& fault = read.fault;
  fault.kind = head.kind;
  fault.title = head.title.empty() && head.kind == FaultKind::Oops ? "" : clip_word(head.title);
  fault.function = clip_word(head.function);
  fault.file = head.file;
  fault.line = head.line;
  fault.task_comm = clip_word(head.comm);
  fault.task_pid = head.pid;
  fault.cpu = head.cpu;
  fault.measures_time = measures_time(head.kind);
  fault.message = clip_word(text, kMaxFaultMessage);
  message_told_ = false;
  if (head.kind == FaultKind::Warning && after_cut_ && !before_.empty()) {
    fault.message = before_;  // WARN(): its text comes before its line
    message_told_ = true;
  }
  if (head.kind == FaultKind::Panic) {
    fault.message = clip_word(text, kMaxFaultMessage);
  }
  if (head.kind == FaultKind::HungTask) {
    auto task = std::make_unique<BlockedTaskT>();
    task->comm = head.comm;
    task->pid = head.pid;
    task->seconds = head.seconds;
    fault.tasks.push_back(std::move(task));
  }
  after_cut_ = false;
  open_ = std::move(read);
  in_ = In::kDetail;
  traced_ = traps_follow_ = held_follows_ = in_locks_ = false;
  unrelated_ = lines_of_open_ = 0;
  last_ns_ = guest_ns;
}

bool KernelFaultParser::take_head(std::string_view text, uint64_t guest_ns) {
  auto head = parse_fault_head(text);
  if (!head) return false;
  if (continues(*head, text)) {
    merge(*head, text);
    unrelated_ = 0;
    if (guest_ns) last_ns_ = guest_ns;
    return true;
  }
  open_with(std::move(*head), text, guest_ns);
  return true;
}

// The first lines are cut off: registers of the kernel without the message that they belong to. An oops says "Oops: …"
// right before the CPU line, so that a line that is something else shows a warning. Where the registers are cut off too, the
// trace begins with how the kernel came to its message: "? __warn+0xd5/0x1d0".
bool KernelFaultParser::take_headless(std::string_view text, uint64_t guest_ns) {
  const bool cpu_line = text.starts_with("CPU: ") && fault_has(text, " Comm: ") && fault_has(text, "ainted");
  const bool register_line = text.starts_with("RIP: 0010:") && parse_trace_frame(text.substr(10));
  const bool warn_frame = text.starts_with("? __warn+");
  FaultHead head;
  head.kind = FaultKind::OtherBug;
  if (!cpu_line && (register_line || warn_frame)) {
    open_with(std::move(head), "", guest_ns);
    open_->fault.cut_head = true;
    in_ = warn_frame ? In::kTrace : In::kDetail;
    return take_line(text);
  }
  if (!cpu_line) return false;
  const std::string message = before_;
  open_with(std::move(head), "", guest_ns);
  KernelFaultT& fault = open_->fault;
  fault.cut_head = true;
  if (!message.empty() && !is_rule(message)) {
    fault.kind = FaultKind::Warning;
    fault.title = "warning";
    if (!message.starts_with("Modules linked in")) fault.message = message;
  }
  return take_cpu_line(text);
}

void KernelFaultParser::close(bool interrupted) {
  if (!open_) return;
  KernelFaultT& fault = open_->fault;
  fault.interrupted = interrupted && in_ != In::kOver && !traced_;
  // Nothing but its trace is left: what the warning's own functions stand on, however uncertain.
  if (fault.cut_head && fault.kind == FaultKind::Warning && fault.function.empty()) {
    bool warned = false;
    for (const auto& frame : fault.backtrace) {
      warned = warned || base_function(frame->function) == "__warn";
      if (warned && fault.function.empty() && frame_noise(frame->function).empty())
        fault.function = frame->function;
    }
  }
  const bool named = !fault.cut_head || !fault.function.empty();
  if (fault.title.empty())
    fault.title = fault.kind == FaultKind::Oops ? "oops" : std::string(fault_name(fault.kind));
  if (fault.function.empty() && !fault.backtrace.empty() && fault.kind != FaultKind::HungTask) {
    for (const auto& frame : fault.backtrace)
      if (!frame->uncertain && fault.function.empty()) fault.function = frame->function;
  }
  // Headless and without registers it is any dump_stack(): no fault that we know of.
  if (named) {
    if (ready_.size() < kMaxWaiting) {
      ready_.push_back(std::move(*open_));
    } else {
      ++dropped_;
    }
  }
  open_.reset();
}

// True: the line belongs to the open fault.
bool KernelFaultParser::take_line(std::string_view text) {
  if (text.starts_with("---[ end ")) {
    in_ = In::kOver;
    traced_ = true;
    return true;
  }
  if (in_ == In::kOver) return false;  // a panic may follow, nothing else
  if (text.empty()) return in_ != In::kTrace && !traced_;
  if (in_ == In::kTrace || in_ == In::kTaskTrace) return take_trace(text);
  return take_detail(text);
}

void KernelFaultParser::place(ChainFrameT frame) {
  KernelFaultT& fault = open_->fault;
  // A message without its head: how the kernel came to it says what it was.
  if (fault.cut_head && fault.kind == FaultKind::OtherBug) {
    const std::string_view name = base_function(frame.function);
    if (name == "__warn") {
      fault.kind = FaultKind::Warning;
      fault.title = "warning";
    } else if (name == "die" || name == "__die" || name == "__die_body" || name == "page_fault_oops") {
      fault.kind = FaultKind::Oops;
      fault.title = name == "page_fault_oops" ? "page fault" : "oops";
    }
  }
  auto& to = in_ == In::kTaskTrace && !fault.tasks.empty() ? fault.tasks.back()->backtrace : fault.backtrace;
  if (to.size() >= kMaxFrames) return;
  // The registers' frame is the trace's first on arm64 too.
  if (!to.empty() && to.size() == 1 && to.front()->function == frame.function &&
      to.front()->offset == frame.offset && !frame.inlined)
    return;
  to.push_back(std::make_unique<ChainFrameT>(std::move(frame)));
}

bool KernelFaultParser::take_trace(std::string_view text) {
  if (text.starts_with("<") && text.ends_with(">") && text.size() <= 16) {  // <TASK>, <IRQ>, </IRQ>, <NMI>
    if (text == "</TASK>") {
      if (in_ == In::kTrace) traced_ = true;
      in_ = In::kDetail;
    }
    return true;
  }
  if (auto frame = parse_trace_frame(text)) {
    place(std::move(*frame));
    return true;
  }
  // panic_on_warn: where the warning was is inside the panic's trace.
  if (open_->fault.kind == FaultKind::Panic && text.starts_with("RIP: 0010:")) {
    if (auto frame = parse_trace_frame(text.substr(10))) place(std::move(*frame));
    return true;
  }
  // Registers of the interrupted context are inside a trace; anything else ends it.
  for (std::string_view known :
       {"RIP: ", "RSP: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "Code: ", "ORIG_RAX: "})
    if (text.starts_with(known)) return true;
  if (in_ == In::kTrace) traced_ = true;
  in_ = In::kDetail;
  return take_detail(text);
}

}  // namespace ktstr
