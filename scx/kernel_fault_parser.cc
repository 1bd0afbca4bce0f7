#include "scx/kernel_fault_parser.h"

#include "base/numbers.h"
#include "schemas/crash_generated.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kMaxFaults = 16;

struct Pattern {
  std::string_view text;
  CrashKind kind;
  std::string_view reason;
};

// First match wins, so the specific patterns come before the general ones.
constexpr Pattern kPatterns[] = {
    {"BUG: soft lockup", CrashKind::Lockup, "soft lockup"},
    {"Watchdog detected hard LOCKUP", CrashKind::Lockup, "hard lockup"},
    {"rcu: INFO: rcu_", CrashKind::Lockup, "RCU stall"},
    {"rcu: INFO: Tasks", CrashKind::Lockup, "RCU stall"},
    {"BUG: workqueue lockup", CrashKind::Lockup, "workqueue lockup"},
    {"Kernel panic - not syncing", CrashKind::KernelPanic, "kernel panic"},
    {"BUG: kernel NULL pointer dereference", CrashKind::KernelOops, "Oops"},
    {"BUG: unable to handle", CrashKind::KernelOops, "Oops"},
    {"BUG: stack guard page was hit", CrashKind::KernelOops, "Oops"},
    {"kernel BUG at ", CrashKind::KernelOops, "kernel BUG"},
    {"Oops: ", CrashKind::KernelOops, "Oops"},
    {"general protection fault", CrashKind::KernelOops, "Oops"},
    {"invalid opcode: ", CrashKind::KernelOops, "Oops"},
    {"divide error: ", CrashKind::KernelOops, "Oops"},
    {"stack segment: ", CrashKind::KernelOops, "Oops"},
};

// A task's own misfortune is logged in the same words: "prog[123] general protection fault ip:…", "traps:
// prog[1] …".
bool is_user_fault(std::string_view text) {
  return text.starts_with("traps: ") || text.find(" ip:") != std::string_view::npos ||
         text.find(" segfault at ") != std::string_view::npos;
}

std::string_view word_after(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  std::string_view rest = text.substr(at + key.size());
  rest = rest.substr(rest.find_first_not_of(' ') == std::string_view::npos ? rest.size()
                                                                           : rest.find_first_not_of(' '));
  return rest.substr(0, rest.find(' '));
}

const Pattern* match(std::string_view text) {
  if (is_user_fault(text)) return nullptr;
  // "INFO: task khungtaskd:30 blocked for more than 120 seconds."
  static constexpr Pattern kHung{"", CrashKind::Lockup, "hung task"};
  if (text.starts_with("INFO: task ") && text.find(" blocked for more than ") != std::string_view::npos)
    return &kHung;
  for (const Pattern& p : kPatterns) {
    if (text.find(p.text) != std::string_view::npos) return &p;
  }
  return nullptr;
}

// One trouble, told in several lines: "BUG: kernel NULL pointer…", "Oops: 0002 [#1]", "Kernel panic - …".
bool continues(const KernelFault& fault, const Pattern& pattern) {
  if (fault.kind == CrashKind::KernelOops) return pattern.kind != CrashKind::Lockup;
  return fault.kind == pattern.kind && fault.reason == pattern.reason && fault.kind == CrashKind::KernelPanic;
}

}  // namespace

void KernelFaultParser::feed(std::string_view text, uint64_t guest_ns) {
  if (take_start(text, guest_ns) || !open_) return;
  if (in_trace_) return take_trace(text);
  take_detail(text);
}

bool KernelFaultParser::take_start(std::string_view text, uint64_t guest_ns) {
  const Pattern* pattern = match(text);
  if (!pattern) return false;
  if (!faults_.empty() && continues(faults_.back(), *pattern)) {
    KernelFault& fault = faults_.back();
    fault.int3 = fault.int3 || text.find("Oops: int3") != std::string_view::npos;
    if (pattern->kind == CrashKind::KernelPanic) open_ = in_trace_ = false;
    return true;
  }
  open_ = in_trace_ = traced_ = false;
  if (faults_.size() >= kMaxFaults) return true;
  KernelFault fault;
  fault.kind = pattern->kind;
  fault.reason = pattern->reason;
  fault.message = trim(text);
  fault.guest_ns = guest_ns;
  fault.int3 = text.find("Oops: int3") != std::string_view::npos;
  if (auto cpu = word_after(text, "CPU#"); !cpu.empty()) {  // soft lockup: "CPU#1 stuck for 22s! [comm:12]"
    if (auto n = parse_number(cpu.substr(0, cpu.find_first_not_of("0123456789"))))
      fault.cpu = static_cast<int>(*n);
    const size_t open = text.rfind('['), colon = text.rfind(':');
    if (open != std::string_view::npos && colon != std::string_view::npos && colon > open) {
      fault.comm = text.substr(open + 1, colon - open - 1);
      if (auto pid = parse_number(trim(text.substr(colon + 1, text.rfind(']') - colon - 1))))
        fault.pid = static_cast<int>(*pid);
    }
  } else if (fault.reason == "hung task") {
    const std::string_view task = word_after(text, "INFO: task");
    const size_t colon = task.rfind(':');
    fault.comm = task.substr(0, colon);
    if (colon != std::string_view::npos)
      fault.pid = static_cast<int>(parse_number(task.substr(colon + 1)).value_or(0));
  }
  faults_.push_back(std::move(fault));
  open_ = true;
  return true;
}

void KernelFaultParser::take_detail(std::string_view text) {
  KernelFault& fault = faults_.back();
  if (trim(text) == "Call Trace:" && !traced_) {
    in_trace_ = true;
  } else if (text.starts_with("CPU: ") && fault.comm.empty()) {
    // "CPU: 2 UID: 0 PID: 1 Comm: swapper/0 Not tainted 7.3.4 …"
    if (auto cpu = parse_number(word_after(text, "CPU: "))) fault.cpu = static_cast<int>(*cpu);
    if (auto pid = parse_number(word_after(text, "PID: "))) fault.pid = static_cast<int>(*pid);
    const size_t at = text.find("Comm: ");
    if (at != std::string_view::npos) {
      std::string_view comm = text.substr(at + 6);
      for (std::string_view end : {" Not tainted", " Tainted:"}) comm = comm.substr(0, comm.find(end));
      fault.comm = comm;
    }
  } else if (text.starts_with("RIP: 0010:") && fault.backtrace.empty()) {
    const std::string_view place = text.substr(10);
    if (place.starts_with("0x0") && (place.size() == 3 || place[3] == ' ')) fault.jump_to_null = true;
    if (auto frame = parse_trace_frame(place)) fault.backtrace.push_back(std::move(*frame));
  } else if (text.find("supervisor instruction fetch") != std::string_view::npos &&
             fault.message.find("NULL pointer") != std::string::npos) {
    fault.jump_to_null = true;
  } else if (text.starts_with("---[ end ")) {
    open_ = false;
  }
}

void KernelFaultParser::take_trace(std::string_view text) {
  const std::string_view line = trim(text);
  if (line.starts_with("<") && line.ends_with(">")) {  // <TASK>, <IRQ>, </IRQ>, <NMI>
    if (line == "</TASK>") {
      in_trace_ = false;
      traced_ = true;
    }
    return;
  }
  auto frame = parse_trace_frame(line);
  if (frame) {
    if (faults_.back().backtrace.size() < kMaxFrames) faults_.back().backtrace.push_back(std::move(*frame));
    return;
  }
  // Registers of the interrupted context are inside a trace; anything else ends it.
  for (std::string_view known :
       {"RIP: ", "RSP: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "Code: ", "ORIG_RAX: "}) {
    if (line.starts_with(known)) return;
  }
  in_trace_ = false;
  traced_ = true;
  take_detail(text);
}

std::string emulator_artefact(const KernelFault& fault, std::string_view accelerator, bool after_scx_exit) {
  if (fault.kind != CrashKind::KernelOops || accelerator != "tcg") return {};
  if (fault.int3)
    return "int3 in kernel text while it was being patched, as happens under software emulation (tcg)";
  if (fault.jump_to_null)
    return "jump to address 0, as happens under software emulation (tcg) when kernel text is patched";
  if (!after_scx_exit && fault.reason != "kernel BUG")
    return "kernel oops under software emulation (tcg) with no scheduler exit before it";
  return {};
}

}  // namespace ktstr
