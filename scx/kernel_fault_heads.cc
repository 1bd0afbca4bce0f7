// The forms are those of kernel/panic.c, lib/bug.c, arch/{x86,arm64}, kernel/locking/lockdep.c, kernel/rcu, kernel/watchdog.c,
// kernel/hung_task.c, mm/kasan, lib/ubsan.c, lib/list_debug.c of 6.7 to 7.3:
//
//   WARNING: CPU: 1 PID: 9 at kernel/sched/ext.c:3193 scx_cgroup_move_task+0x96/0xa0     (to 6.18)
//   WARNING: [cond] kernel/sched/ext.c:1273 at scx_dsq_insert_commit+0xf2/0x120, CPU#10: comm/4554     (from 6.19)
//   Oops: Oops: 0002 [#1] SMP NOPTI / Internal error: Oops: 0000000096000004 [#1] SMP / int3: 0000 [#1]
//   watchdog: BUG: soft lockup - CPU#13 stuck for 22s! [comm:412]
#include "scx/kernel_fault_heads.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/numbers.h"
#include "base/text.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kMaxTitle = 120;

std::string_view after(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  return at == std::string_view::npos ? std::string_view() : text.substr(at + key.size());
}

std::string_view word(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text.substr(0, text.find(' '));
}

std::optional<uint64_t> leading_number(std::string_view text) {
  return parse_number(text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size())));
}

void set_cpu(FaultHead& head, std::string_view digits) {
  if (auto n = leading_number(digits); n && *n < 1 << 20) head.cpu = static_cast<int>(*n);
}

// "kernel/sched/ext.c:3193"
bool set_source(FaultHead& head, std::string_view place) {
  while (!place.empty() && (place.back() == '!' || place.back() == ',')) place.remove_suffix(1);
  const size_t colon = place.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto line = leading_number(place.substr(colon + 1));
  if (!line || *line > UINT32_MAX) return false;
  head.file = place.substr(0, std::min<size_t>(colon, 256));
  head.line = static_cast<uint32_t>(*line);
  return true;
}

void set_function(FaultHead& head, std::string_view text) {
  while (text.ends_with(',')) text.remove_suffix(1);
  if (auto frame = parse_trace_frame(text)) {
    if (!frame->inlined || head.function.empty()) head.function = frame->function;
  }
}

std::string title_of(std::string_view text) {
  std::string out = lower(trim(text.substr(0, kMaxTitle)));
  while (out.ends_with('.') || out.ends_with('!')) out.pop_back();
  return out;
}

FaultHead of(FaultKind kind, std::string title) {
  FaultHead head;
  head.kind = kind;
  head.title = std::move(title);
  return head;
}

std::optional<FaultHead> warning(std::string_view rest) {
  static constexpr std::string_view kLockdep[] = {
      "possible ",       "inconsistent lock", "suspicious rcu", "bad unlock",   "bad contention",
      "held lock freed", "lock held when",    "nested lock",    "hardirq-safe", "softirq-safe",
      "locking bug",     "chain_key",         "softirq-",       "hardirq-",     "irq lock"};
  const std::string low = lower(rest.substr(0, 64));
  if (rest.starts_with("CPU: ")) {
    FaultHead head = of(FaultKind::Warning, "warning");
    set_cpu(head, word(rest.substr(5)));
    if (auto pid = leading_number(word(after(rest, "PID: "))))
      head.pid = static_cast<int>(std::min<uint64_t>(*pid, INT32_MAX));
    std::string_view place = after(rest, " at ");
    const std::string_view source = word(place);
    if (place.empty()) return std::nullopt;
    if (set_source(head, source)) place = trim(place.substr(place.find(source) + source.size()));
    set_function(head, place);
    return head;
  }
  for (std::string_view known : kLockdep) {
    if (!low.starts_with(known)) continue;
    // A paste without line breaks: the kernel's release follows.
    constexpr std::string_view kDetected = " detected ";
    if (const size_t end = rest.find(kDetected); end != rest.npos)
      rest = rest.substr(0, end + kDetected.size() - 1);
    return of(FaultKind::Lockdep, title_of(rest));
  }
  // "[cond] FILE:LINE at FUNCTION, CPU#N: COMM/PID": parts may be missing.
  size_t at = std::string_view::npos;
  for (size_t i = rest.find("at "); i != std::string_view::npos; i = rest.find("at ", i + 1)) {
    if ((i == 0 || rest[i - 1] == ' ') && parse_trace_frame(rest.substr(i + 3, rest.find(',', i) - i - 3))) {
      at = i;
      break;
    }
  }
  if (at == std::string_view::npos) return std::nullopt;
  FaultHead head = of(FaultKind::Warning, "warning");
  std::string_view before = trim(rest.substr(0, at));
  set_source(head, before.substr(before.rfind(' ') == std::string_view::npos ? 0 : before.rfind(' ') + 1));
  std::string_view behind = rest.substr(at + 3);
  set_function(head, behind.substr(0, behind.find(',')));
  if (std::string_view cpu = after(behind, "CPU#"); !cpu.empty()) {
    set_cpu(head, cpu);
    if (auto task = parse_task_slash(trim(after(cpu, ": ")))) {
      head.comm = task->comm;
      head.pid = task->pid;
    }
  }
  return head;
}

// "watchdog: BUG: soft lockup - CPU#13 stuck for 22s! [cg_0/1:412]"
FaultHead soft_lockup(std::string_view text) {
  FaultHead head = of(FaultKind::SoftLockup, "soft lockup");
  set_cpu(head, after(text, "CPU#"));
  head.seconds = static_cast<uint32_t>(
      std::min<uint64_t>(leading_number(after(text, "stuck for ")).value_or(0), UINT32_MAX));
  const size_t open = text.rfind('['), colon = text.rfind(':');
  if (open != std::string_view::npos && colon != std::string_view::npos && colon > open) {
    head.comm = text.substr(open + 1, colon - open - 1);
    if (auto pid = leading_number(text.substr(colon + 1)))
      head.pid = static_cast<int>(std::min<uint64_t>(*pid, INT32_MAX));
  }
  return head;
}

// "task kthreadd:2 blocked for more than 120 seconds.", "… blocked in I/O wait for more than …"
std::optional<FaultHead> hung_task(std::string_view rest) {
  const size_t blocked = rest.find(" blocked ");
  const std::string_view span = after(rest, " for more than ");
  if (blocked == std::string_view::npos || span.empty()) return std::nullopt;
  const std::string_view task = rest.substr(5, blocked - 5);
  const size_t colon = task.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  FaultHead head = of(FaultKind::HungTask, "hung task");
  head.comm = task.substr(0, colon);
  head.pid = parse_number<int>(task.substr(colon + 1)).value_or(0);
  head.seconds = static_cast<uint32_t>(std::min<uint64_t>(leading_number(span).value_or(0), UINT32_MAX));
  return head;
}

// "KASAN: slab-use-after-free in scx_foo+0x1/0x2", "KCSAN: data-race in a / b"
FaultHead sanitizer(FaultKind kind, std::string_view rest) {
  const size_t in = rest.find(" in ");
  FaultHead head = of(kind, title_of(rest.substr(0, in)));
  if (in != std::string_view::npos) {
    std::string_view place = rest.substr(in + 4);
    set_function(head, place);
    if (head.function.empty()) head.function = word(place);
  }
  return head;
}

std::optional<FaultHead> bug(std::string_view rest, std::string_view whole) {
  if (rest.starts_with("KASAN: ")) return sanitizer(FaultKind::Kasan, rest.substr(7));
  if (rest.starts_with("KMSAN: ") || rest.starts_with("KCSAN: "))
    return sanitizer(FaultKind::Kasan, rest.substr(7));
  if (rest.starts_with("KFENCE: ")) return sanitizer(FaultKind::Kfence, rest.substr(8));
  if (rest.starts_with("soft lockup")) return soft_lockup(whole);
  if (rest.starts_with("workqueue lockup")) {
    FaultHead head = of(FaultKind::WorkqueueLockup, "workqueue lockup");
    head.seconds = static_cast<uint32_t>(
        std::min<uint64_t>(leading_number(after(rest, "stuck for ")).value_or(0), UINT32_MAX));
    // "pool cpus=3 node=0", "pool cpus=0-7": of one CPU or of several.
    const std::string_view cpus = word(after(rest, "cpus="));
    if (!cpus.empty() && std::all_of(cpus.begin(), cpus.end(), is_digit)) set_cpu(head, cpus);
    return head;
  }
  if (rest.starts_with("scheduling while atomic")) {
    // "scheduling while atomic: COMM/PID/0x00000002"
    FaultHead head = of(FaultKind::SleepInAtomic, "scheduling while atomic");
    std::string_view task = trim(after(rest, ": "));
    if (const size_t slash = task.rfind("/0x"); slash != std::string_view::npos) task = task.substr(0, slash);
    if (auto who = parse_task_slash(task)) {
      head.comm = who->comm;
      head.pid = who->pid;
    }
    return head;
  }
  if (rest.starts_with("sleeping function called from")) {
    FaultHead head = of(FaultKind::SleepInAtomic, "sleeping function called from invalid context");
    set_source(head, word(after(rest, " at ")));
    return head;
  }
  if (rest.starts_with("MAX_") || rest.starts_with("key ")) return of(FaultKind::Lockdep, title_of(rest));
  // powerpc begins with capitals: "Kernel NULL pointer dereference on read at 0x00000040".
  const std::string low = lower(rest.substr(0, 48));
  if (low.starts_with("kernel null pointer") || low.starts_with("unable to handle kernel null"))
    return of(FaultKind::Oops, "NULL pointer dereference");
  if (low.starts_with("unable to handle page fault") || low.starts_with("unable to handle kernel paging") ||
      low.starts_with("unable to handle kernel data access"))
    return of(FaultKind::Oops, "page fault");
  if (low.starts_with("unable to handle"))
    return of(FaultKind::Oops, title_of(rest.substr(0, rest.find(" at "))));
  if (rest.find("stack guard page") != std::string_view::npos) return of(FaultKind::Oops, "stack overflow");
  if (rest.starts_with("using ") && rest.find("preemptible") != std::string_view::npos) {
    FaultHead head =
        of(FaultKind::OtherBug, std::string(rest.substr(0, rest.find(" [")).substr(0, kMaxTitle)));
    if (auto who = parse_task_slash(trim(after(rest, "code: ")))) {
      head.comm = who->comm;
      head.pid = who->pid;
    }
    return head;
  }
  if (rest.empty()) return std::nullopt;
  return of(FaultKind::OtherBug, title_of(rest.substr(0, rest.find_first_of(":(,"))));
}

// die()'s line: "TEXT: 0002 [#1] SMP NOPTI"; arm64: "Internal error: TEXT: 0000000096000004 [#1]". nullopt: none.
std::optional<FaultHead> die_line(std::string_view text) {
  // riscv: "Oops [#1]", "Oops - illegal instruction [#1]", "Kernel BUG [#1]"; loongarch: "Oops[#1]:".
  for (std::string_view bare : {"Oops [#", "Oops[#", "Oops - ", "Kernel BUG [#"}) {
    if (!text.starts_with(bare)) continue;
    const size_t number_at = text.find("[#");
    if (number_at == std::string_view::npos || !leading_number(text.substr(number_at + 2))) break;
    if (text.find(": ") < number_at) break;
    std::string_view what = trim(text.substr(0, number_at));
    if (what.starts_with("Oops - ")) what.remove_prefix(7);
    FaultHead head = of(what == "Kernel BUG" ? FaultKind::KernelBug : FaultKind::Oops,
                        what == "Oops" ? "" : title_of(what));
    head.follows = head.title.empty();
    return head;
  }
  const size_t mark = text.find(" [#");
  if (mark == std::string_view::npos) return std::nullopt;
  const auto number = leading_number(text.substr(mark + 3));
  // powerpc: "Oops: Kernel access of bad area, sig: 11 [#1]"; s390: "Oops: 0004 ilc:2 [#1] SMP".
  const size_t detail = std::min(text.find(", sig: "), text.find(" ilc:"));
  if (number && text.starts_with("Oops: ") && detail < mark) {
    FaultHead head = of(FaultKind::Oops, "");
    if (text[detail] == ',') {
      const std::string_view what = text.substr(6, detail - 6);
      if (what != "Kernel access of bad area") head.title = title_of(what);
    }
    head.follows = head.title.empty();
    return head;
  }
  const size_t colon = text.rfind(": ", mark);
  if (!number || colon == std::string_view::npos) return std::nullopt;
  const std::string_view code = text.substr(colon + 2, mark - colon - 2);
  if (code.size() < 4 || code.size() > 16 || !std::all_of(code.begin(), code.end(), is_hex_digit))
    return std::nullopt;
  std::string_view what = text.substr(0, colon);
  for (std::string_view lead : {"Internal error: ", "Oops: ", "traps: ", "Oops - "})
    if (what.starts_with(lead)) what.remove_prefix(lead.size());
  if (what == "Oops" || what == "Oops - BUG") what = "";
  what = what.substr(0, what.find(','));
  FaultHead head = of(FaultKind::Oops, title_of(what));
  head.follows = what.empty();
  return head;
}

// A task's own misfortune is logged in similar words: "prog[123] general protection fault ip:…", "traps: prog[1] …".
bool is_user_fault(std::string_view text) {
  return text.find(" ip:") != std::string_view::npos || text.find(" segfault at ") != std::string_view::npos;
}

}  // namespace

std::optional<FaultHead> parse_fault_head(std::string_view text) {
  text = trim(text);
  if (text.size() < 6 || text.size() > 4096) return std::nullopt;
  // Cheap first: nearly every line is none of these.
  static constexpr std::string_view kSubsystems[] = {
      "watchdog: ", "NMI watchdog: ", "rcu: ", "traps: ", "hung_task: ", "CFI: "};
  const std::string_view whole = text;
  for (std::string_view prefix : kSubsystems)
    if (text.starts_with(prefix)) text = trim(text.substr(prefix.size()));
  switch (text.front()) {
    case 'W':
      if (text.starts_with("WARNING: ")) return warning(text.substr(9));
      if (text.starts_with("Watchdog detected hard LOCKUP")) {
        FaultHead head = of(FaultKind::HardLockup, "hard lockup");
        set_cpu(head, after(text, " cpu "));
        return head;
      }
      break;
    case 'B':
      if (text.starts_with("BUG: ")) {
        if (is_user_fault(text)) return std::nullopt;
        return bug(text.substr(5), whole);
      }
      if (text.starts_with("BUG ") &&
          text.find("ainted): ") != std::string_view::npos)  // "BUG kmalloc-64 (Not tainted): …"
        return of(FaultKind::OtherBug, title_of(after(text, "ainted): ")));
      break;
    case '[':
      // Before 4.11 all of lockdep's first lines had brackets.
      for (std::string_view lead : {"[ BUG: ", "[ INFO: "}) {
        if (!text.starts_with(lead)) continue;
        const std::string_view title = text.substr(lead.size());
        return of(FaultKind::Lockdep, title_of(title.substr(0, title.find(" ]"))));
      }
      break;
    case 'I': {
      if (text.starts_with("Internal error: ")) return die_line(text);
      if (text.starts_with("Insufficient stack space to handle exception"))
        return of(FaultKind::Oops, "stack overflow");
      if (!text.starts_with("INFO: ")) break;
      const std::string_view rest = text.substr(6);
      if (rest.starts_with("task ")) return hung_task(rest);
      if (rest.starts_with("rcu") && rest.find("stall") != std::string_view::npos) {
        FaultHead head = of(FaultKind::RcuStall, "RCU stall");
        // Of old: "INFO: rcu_sched self-detected stall on CPU { 2}  (t=21001 jiffies …".
        if (const std::string_view cpu = trim(after(rest, "{")); !cpu.empty()) set_cpu(head, cpu);
        return head;
      }
      if (rest.starts_with("trying to register non-static key") || rest.starts_with("possible "))
        return of(FaultKind::Lockdep, title_of(rest));
      break;
    }
    case 'K':
      if (text.starts_with("Kernel panic - not syncing")) {
        FaultHead head = of(FaultKind::Panic, "kernel panic");
        head.title = "kernel panic";
        return head;
      }
      break;
    case 'k':
      if (text.starts_with("kernel BUG at ")) {
        FaultHead head = of(FaultKind::KernelBug, "kernel BUG");
        set_source(head, word(text.substr(14)));
        return head;
      }
      if (text.starts_with("kernel tried to execute ")) return of(FaultKind::Oops, "execution of data");
      break;
    case 'U':
      if (text.starts_with("UBSAN: ")) {
        FaultHead head = of(FaultKind::Ubsan, title_of(text.substr(7, text.find(" in ") - 7)));
        set_source(head, word(after(text, " in ")));
        return head;
      }
      if (text.starts_with("Unable to handle kernel ")) {
        const std::string_view what = text.substr(24);
        if (what.starts_with("NULL pointer")) return of(FaultKind::Oops, "NULL pointer dereference");
        if (what.starts_with("paging request")) return of(FaultKind::Oops, "page fault");
        return of(FaultKind::Oops, title_of(what.substr(0, what.find(" at "))));
      }
      break;
    case 'l':
      if (text.starts_with("list_add ") || text.starts_with("list_add corruption") ||
          text.starts_with("list_del corruption"))
        return of(FaultKind::ListCorruption, title_of(text.substr(0, text.find_first_of(".,"))));
      break;
    case 'C':
      if (text.starts_with("CFI failure ")) {
        FaultHead head = of(FaultKind::Oops, "CFI failure");
        set_function(head, word(after(text, " at ")));
        return head;
      }
      // loongarch: "CPU 3 Unable to handle kernel paging request at virtual address …, era == …"
      if (const size_t unable = text.find(" Unable to handle kernel ");
          text.starts_with("CPU ") && unable != std::string_view::npos && unable < 12) {
        auto head = parse_fault_head(text.substr(unable + 1));
        if (head) set_cpu(*head, text.substr(4));
        return head;
      }
      if (text.starts_with("CPU") && text.find(": Watchdog detected hard LOCKUP") != std::string_view::npos) {
        FaultHead head = of(FaultKind::HardLockup, "hard lockup");
        set_cpu(head, text.substr(3));
        return head;
      }
      break;
    case 'S':
      if (text.starts_with("SError Interrupt on CPU")) {
        FaultHead head = of(FaultKind::Oops, "SError interrupt");
        set_cpu(head, text.substr(23));
        return head;
      }
      break;
    case 'P':
      if (text.starts_with("PANIC: double fault")) return of(FaultKind::Oops, "double fault");
      break;
    default:
      break;
  }
  if (text.find("[#") == std::string_view::npos || is_user_fault(text)) return std::nullopt;
  return die_line(text);
}

bool measures_time(FaultKind kind) {
  switch (kind) {
    case FaultKind::HungTask:
    case FaultKind::RcuStall:
    case FaultKind::SoftLockup:
    case FaultKind::HardLockup:
    case FaultKind::WorkqueueLockup:
      return true;
    default:
      return false;
  }
}

std::string_view fault_name(FaultKind kind) {
  switch (kind) {
    case FaultKind::Warning:
      return "kernel warning";
    case FaultKind::KernelBug:
      return "kernel BUG";
    case FaultKind::Oops:
      return "kernel oops";
    case FaultKind::Panic:
      return "kernel panic";
    case FaultKind::Lockdep:
      return "lockdep";
    case FaultKind::Kasan:
      return "KASAN";
    case FaultKind::Kfence:
      return "KFENCE";
    case FaultKind::Ubsan:
      return "UBSAN";
    case FaultKind::SleepInAtomic:
      return "sleep in atomic context";
    case FaultKind::ListCorruption:
      return "list corruption";
    case FaultKind::HungTask:
      return "hung task";
    case FaultKind::RcuStall:
      return "RCU stall";
    case FaultKind::SoftLockup:
      return "soft lockup";
    case FaultKind::HardLockup:
      return "hard lockup";
    case FaultKind::WorkqueueLockup:
      return "workqueue lockup";
    case FaultKind::OtherBug:
      return "kernel bug";
  }
  return "kernel fault";
}

}  // namespace ktstr
