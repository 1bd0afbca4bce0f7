#include "scx/crash_frames.h"

#include <array>
#include <iterator>
#include <vector>

#include "schemas/crash_generated.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

enum class Match { kExact, kPrefix };
struct Rule {
  Match match;
  std::string_view name;
  std::string_view reason;
};

constexpr std::string_view kExit = "exit machinery";
constexpr std::string_view kWatchdog = "the watchdog's own path, not that of the stuck task";
constexpr std::string_view kTrampoline = "trampoline";
constexpr std::string_view kProbe = "ktstr's own probe";
constexpr std::string_view kEntry = "entry code";
constexpr std::string_view kIrq = "interrupt and softirq plumbing";
constexpr std::string_view kThread = "kernel thread plumbing";
constexpr std::string_view kOops = "oops and panic machinery";
constexpr std::string_view kCheck = "the kernel's own check, not what it checked";

constexpr Rule kRules[] = {
    {Match::kExact, "scx_exit", kExit},
    {Match::kExact, "__scx_exit", kExit},
    {Match::kExact, "scx_vexit", kExit},
    {Match::kExact, "scx_claim_exit", kExit},
    {Match::kExact, "scx_kf_exit", kExit},
    {Match::kExact, "scx_kf_error", kExit},
    {Match::kExact, "scx_error", kExit},
    {Match::kPrefix, "scx_ops_error", kExit},
    {Match::kPrefix, "scx_ops_exit", kExit},
    {Match::kPrefix, "scx_exit_bstr", kExit},
    {Match::kPrefix, "scx_bpf_error_bstr", kExit},
    {Match::kPrefix, "scx_bpf_exit_bstr", kExit},
    {Match::kPrefix, "scx_disable", kExit},
    {Match::kPrefix, "scx_dump_state", kExit},
    {Match::kPrefix, "scx_watchdog", kWatchdog},
    {Match::kExact, "check_rq_for_timeouts", kWatchdog},
    {Match::kPrefix, "bpf_trampoline_", kTrampoline},
    {Match::kPrefix, "bpf__sched_ext_ops_", kTrampoline},
    {Match::kPrefix, "bpf_dispatcher_", kTrampoline},
    {Match::kPrefix, "__bpf_prog_enter", kTrampoline},
    {Match::kPrefix, "__bpf_prog_exit", kTrampoline},
    {Match::kPrefix, "__bpf_tramp", kTrampoline},
    {Match::kPrefix, "ftrace_", kTrampoline},
    {Match::kPrefix, "arch_ftrace_", kTrampoline},
    {Match::kPrefix, "arch_rethook_", kTrampoline},
    {Match::kPrefix, "rethook_", kTrampoline},
    {Match::kPrefix, "fprobe_", kTrampoline},
    {Match::kPrefix, "kprobe_", kTrampoline},
    {Match::kPrefix, "bpf_trace_run", kTrampoline},
    {Match::kPrefix, "bpf_get_stack", kTrampoline},
    {Match::kPrefix, "__traceiter_", kTrampoline},
    {Match::kExact, "on_fentry", kProbe},
    {Match::kExact, "on_fexit", kProbe},
    {Match::kExact, "on_kernel_multi", kProbe},
    {Match::kExact, "on_kernel_single", kProbe},
    {Match::kExact, "on_exit_event", kProbe},
    {Match::kExact, "on_exit_function", kProbe},
    {Match::kPrefix, "entry_SYSCALL_", kEntry},
    {Match::kPrefix, "__x64_sys_", kEntry},
    {Match::kPrefix, "__ia32_sys_", kEntry},
    {Match::kPrefix, "__do_sys_", kEntry},
    {Match::kPrefix, "__se_sys_", kEntry},
    {Match::kPrefix, "do_syscall_", kEntry},
    {Match::kPrefix, "syscall_exit_", kEntry},
    {Match::kPrefix, "ret_from_fork", kEntry},
    {Match::kPrefix, "secondary_startup", kEntry},
    {Match::kPrefix, "common_startup", kEntry},
    {Match::kPrefix, "start_secondary", kEntry},
    {Match::kPrefix, "start_kernel", kEntry},
    {Match::kPrefix, "rest_init", kEntry},
    {Match::kPrefix, "x86_64_start_", kEntry},
    {Match::kExact, "x64_sys_call", kEntry},
    {Match::kPrefix, "asm_exc_", kOops},
    {Match::kPrefix, "exc_", kOops},
    {Match::kPrefix, "asm_", kIrq},
    {Match::kPrefix, "sysvec_", kIrq},
    {Match::kPrefix, "__sysvec_", kIrq},
    {Match::kPrefix, "instr_sysvec_", kIrq},
    {Match::kPrefix, "common_interrupt", kIrq},
    {Match::kPrefix, "__common_interrupt", kIrq},
    {Match::kPrefix, "irqentry_", kIrq},
    {Match::kPrefix, "irq_exit_rcu", kIrq},
    {Match::kPrefix, "__irq_exit_rcu", kIrq},
    {Match::kPrefix, "handle_softirqs", kIrq},
    {Match::kPrefix, "__do_softirq", kIrq},
    {Match::kPrefix, "do_softirq", kIrq},
    {Match::kPrefix, "run_timer_softirq", kIrq},
    {Match::kPrefix, "run_timer_base", kIrq},
    {Match::kPrefix, "__run_timer", kIrq},
    {Match::kPrefix, "run_ksoftirqd", kIrq},
    {Match::kExact, "call_timer_fn", kIrq},
    {Match::kPrefix, "hrtimer_interrupt", kIrq},
    {Match::kPrefix, "__hrtimer_run_queues", kIrq},
    {Match::kPrefix, "__flush_smp_call_function_queue", kIrq},
    {Match::kPrefix, "flush_smp_call_function_queue", kIrq},
    {Match::kExact, "update_process_times", kIrq},
    {Match::kPrefix, "tick_sched_", kIrq},
    {Match::kPrefix, "tick_nohz_", kIrq},
    {Match::kExact, "timer_interrupt", kIrq},
    {Match::kExact, "__timer_interrupt", kIrq},
    {Match::kPrefix, "decrementer_common", kIrq},
    {Match::kPrefix, "restore_check_irq_replay", kIrq},
    {Match::kPrefix, "system_call_", kEntry},
    {Match::kPrefix, "handle_exception", kEntry},
    {Match::kPrefix, "ret_from_exception", kEntry},
    {Match::kPrefix, "ret_from_kernel_", kEntry},
    {Match::kExact, "kthread", kThread},
    {Match::kExact, "worker_thread", kThread},
    {Match::kExact, "process_one_work", kThread},
    {Match::kExact, "process_scheduled_works", kThread},
    {Match::kExact, "kthread_worker_fn", kThread},
    {Match::kExact, "smpboot_thread_fn", kThread},
    {Match::kExact, "cpu_startup_entry", kThread},
    {Match::kExact, "dump_stack_lvl", kOops},
    {Match::kExact, "dump_stack", kOops},
    {Match::kPrefix, "show_stack", kOops},
    {Match::kPrefix, "show_regs", kOops},
    {Match::kPrefix, "__show_regs", kOops},
    {Match::kPrefix, "show_trace_log", kOops},
    {Match::kExact, "panic", kOops},
    {Match::kExact, "vpanic", kOops},
    {Match::kExact, "die", kOops},
    {Match::kPrefix, "die_", kOops},
    {Match::kPrefix, "__die", kOops},
    {Match::kPrefix, "oops_", kOops},
    {Match::kPrefix, "page_fault_oops", kOops},
    {Match::kPrefix, "kernelmode_fixup", kOops},
    {Match::kPrefix, "do_user_addr_fault", kOops},
    {Match::kPrefix, "do_kern_addr_fault", kOops},
    {Match::kPrefix, "__bad_area", kOops},
    {Match::kPrefix, "bad_area", kOops},
    {Match::kPrefix, "do_error_trap", kOops},
    {Match::kPrefix, "do_trap", kOops},
    {Match::kPrefix, "handle_bug", kOops},
    {Match::kPrefix, "report_bug", kOops},
    {Match::kPrefix, "__warn", kOops},
    {Match::kExact, "check_panic_on_warn", kOops},
    {Match::kPrefix, "nmi_", kOops},
    {Match::kPrefix, "default_do_nmi", kOops},
    {Match::kPrefix, "end_repeat_nmi", kOops},
    {Match::kPrefix, "watchdog_timer_fn", kOops},
    {Match::kPrefix, "rcu_check_gp_kthread", kOops},
    {Match::kPrefix, "rcu_dump_cpu_stacks", kOops},
    {Match::kPrefix, "print_cpu_stall", kOops},
    {Match::kPrefix, "rcu_sched_clock_irq", kOops},
    {Match::kExact, "rcu_check_callbacks", kOops},
    {Match::kExact, "sched_show_task", kOops},
    {Match::kPrefix, "die_kernel_fault", kOops},
    {Match::kPrefix, "__do_kernel_fault", kOops},
    {Match::kPrefix, "do_mem_abort", kOops},
    {Match::kPrefix, "do_translation_fault", kOops},
    {Match::kPrefix, "do_page_fault", kOops},
    {Match::kPrefix, "el1_abort", kOops},
    {Match::kPrefix, "el1h_64_", kOops},
    {Match::kPrefix, "el0t_64_", kEntry},
    {Match::kPrefix, "el0_", kEntry},
    {Match::kPrefix, "do_el0_", kEntry},
    {Match::kPrefix, "invoke_syscall", kEntry},
    {Match::kPrefix, "__arm64_sys_", kEntry},
    {Match::kPrefix, "__primary_switched", kEntry},
    {Match::kExact, "__lock_acquire", kCheck},
    {Match::kExact, "lock_acquire", kCheck},
    {Match::kExact, "lock_release", kCheck},
    {Match::kExact, "mark_lock", kCheck},
    {Match::kExact, "mark_usage", kCheck},
    {Match::kExact, "validate_chain", kCheck},
    {Match::kPrefix, "check_prev_add", kCheck},
    {Match::kPrefix, "check_noncircular", kCheck},
    {Match::kPrefix, "check_wait_context", kCheck},
    {Match::kPrefix, "print_usage_bug", kCheck},
    {Match::kPrefix, "print_circular_bug", kCheck},
    {Match::kPrefix, "print_lock_invalid", kCheck},
    {Match::kPrefix, "lockdep_", kCheck},
    {Match::kPrefix, "__might_", kCheck},
    {Match::kPrefix, "__schedule_bug", kCheck},
    {Match::kPrefix, "warn_bogus_irq_restore", kCheck},
    {Match::kPrefix, "check_preemption_disabled", kCheck},
    {Match::kPrefix, "kasan_", kCheck},
    {Match::kPrefix, "__kasan_", kCheck},
    {Match::kPrefix, "__asan_", kCheck},
    {Match::kPrefix, "print_report", kCheck},
    {Match::kPrefix, "print_address_description", kCheck},
    {Match::kPrefix, "ubsan_", kCheck},
    {Match::kPrefix, "__ubsan_", kCheck},
    {Match::kPrefix, "__list_add_valid", kCheck},
    {Match::kPrefix, "__list_del_entry_valid", kCheck},
    {Match::kPrefix, "refcount_warn_saturate", kCheck},
};

}  // namespace

std::string_view frame_noise(std::string_view function) {
  function = base_function(function);
  // Rules by their first character: a log may have millions of frames.
  static const auto by_first = [] {
    std::array<std::vector<const Rule*>, 256> table;
    for (const Rule& r : kRules) table[static_cast<unsigned char>(r.name.front())].push_back(&r);
    return table;
  }();
  if (!function.empty())
    for (const Rule* r : by_first[static_cast<unsigned char>(function.front())])
      if (r->match == Match::kExact ? function == r->name : function.starts_with(r->name)) return r->reason;
  if (function.empty() || function.starts_with("0x")) return "an address without a name";
  return {};
}

std::string_view callback_called_by(std::string_view function) {
  struct Call {
    std::string_view function, callback;
  };
  static constexpr Call kCalls[] = {{"do_enqueue_task", "enqueue"},       {"scx_do_enqueue_task", "enqueue"},
                                    {"balance_one", "dispatch"},          {"balance_scx", "dispatch"},
                                    {"do_pick_task_scx", "dispatch"},     {"pick_task_scx", "dispatch"},
                                    {"finish_dispatch", "dispatch"},      {"flush_dispatch_buf", "dispatch"},
                                    {"select_task_rq_scx", "select_cpu"}, {"scx_init_task", "init_task"}};
  function = base_function(function);
  for (const Call& call : kCalls)
    if (function == call.function) return call.callback;
  return {};
}

bool is_interrupt(std::string_view function) {
  return function.starts_with("asm_sysvec_") || function == "asm_common_interrupt";
}

CrashFrames split_frames(const CrashDetectedT& crash) {
  CrashFrames out;
  const ChainFrameT* last = nullptr;
  bool interrupted = false;
  for (const auto& f : crash.backtrace) {
    std::string_view reason = frame_noise(f->function);
    if (interrupted) reason = "what the interrupt stopped, not what it did";
    if (reason.empty() && f->uncertain) reason = "the kernel is not sure of it (\"? \")";
    // The same function right below itself, at its very first instructions: what a probe's trampoline leaves
    // behind.
    if (reason.empty() && last && last->function == f->function && last->tag == f->tag && f->offset <= 16)
      reason = "shown twice by a probe's trampoline";
    if (reason.empty()) {
      out.kept.push_back(f.get());
      last = f.get();
    } else {
      out.dropped.push_back(f.get());
      out.reasons.push_back(reason);
    }
    // Other failures are reported *by* an interrupt, about the code that it interrupted.
    if (crash.kind == CrashKind::SchedExtExit && !out.kept.empty() && !f->uncertain &&
        is_interrupt(f->function))
      interrupted = true;
  }
  return out;
}

}  // namespace ktstr
