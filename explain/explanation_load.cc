#include <fmt/format.h>

#include "base/numbers.h"
#include "explain/error_words.h"
#include "explain/explanation_parts.h"
#include "scx/crash_signature.h"
#include "scx/load_failure.h"

namespace ktstr {
namespace {

std::string load_place(const LoadFailure& load) {
  if (load.where.empty() && load.source.empty()) return {};
  if (load.where.empty()) return load.source;
  return fmt::format("{}{}{}", base_name(load.where), load.source.empty() ? "" : ": ", load.source);
}

// Registers and numbers differ from compiler to compiler.
std::string plain_objection(std::string_view reason) {
  std::string out = normalize_crash_message(reason);
  for (size_t at = 0; (at = out.find('R', at)) != std::string::npos; ++at)
    if (at + 1 < out.size() && out[at + 1] == 'N' && (at == 0 || out[at - 1] == ' ')) out[at + 1] = 'n';
  return out;
}

// What usually mends an objection; empty: nothing is known.
std::string verifier_advice(std::string_view reason) {
  constexpr struct {
    std::string_view words, advice;
  } kKnown[] = {
      {"Unreleased reference", "release it on that way out too, early returns included"},
      {"combined stack size",
       "512 bytes hold the locals of all nested calls: move large ones into a map, or split the calls"},
      {"stack depth", "512 bytes are all of a program's stack: move large locals into a map"},
      {"infinite loop detected",
       "give the loop a bound that the verifier sees (bpf_for, bpf_repeat, or a counter)"},
      {"_or_null", "test the pointer for NULL before it is used"},
      {"map_value_or_null", "test the pointer for NULL before it is used"},
      {"invalid access to map value", "test the index against the size of the value before it is used"},
      {"unbounded memory access", "bound the index (if (i >= N) return; or i &= N - 1) before it is used"},
      {"invalid mem access 'scalar'",
       "the value is no pointer for the verifier: read it with bpf_core_read() or take it from a kptr"},
      {"program of this type cannot use helper", "take a helper that struct_ops programs may call"},
      {"R0 has value", "return a value in the range that the callback allows"},
      {"At program exit the register R0", "return a value in the range that the callback allows"},
      {"unbounded min value", "bound the index from both sides, unsigned, before it is used"},
      {"min value is negative",
       "make the index unsigned, or test that it is not negative, before it is used"},
      {"max value is outside", "test the index against the size of what it points into before it is used"},
      {"!read_ok", "give the variable a value on every way that leads here"},
      {"invalid indirect read from stack",
       "give every byte of the buffer a value (= {}) before it is passed"},
      {"Possibly NULL pointer passed to", "test the pointer for NULL before it is passed"},
      {"must be referenced or trusted",
       "pass the callback's own argument or a pointer that is held (bpf_task_acquire(), "
       "bpf_cgroup_acquire(), "
       "bpf_task_from_pid())"},
      {"must be a rcu pointer", "take the pointer inside bpf_rcu_read_lock(), and use it there"},
      {"access beyond struct",
       "the pointer has another type than the access: cast it to the type that it has, and read with "
       "bpf_core_read()"},
      {"only read is supported",
       "write through a kfunc or a helper: the verifier lets programs read this type"},
      {"back-edge", "give the loop a bound that the verifier sees (bpf_for, bpf_repeat, or a counter)"},
      {"JIT is required", "turn the BPF JIT on: sysctl net.core.bpf_jit_enable=1"},
      {"calling kernel function",
       "the kernel lets only some callbacks and program types call it: move the call to one of them"},
      {"while holding a lock", "release bpf_spin_lock before the call"},
      {"function calls are not allowed", "release bpf_spin_lock before the call"},
      {"invalid kernel function call", "use a kernel that has this kfunc, or declare it __weak and test it"},
      {"invalid bpf_context access",
       "the callback has no such argument, or may not read it: compare its parameters with that member of "
       "the "
       "kernel's struct sched_ext_ops (off=8 is the second)"},
      {"cannot pass map_type",
       "that helper is not for maps of this type: bpf_map_push_elem(), pop and peek are for queues and "
       "stacks, "
       "bpf_map_update_elem() for hashes and arrays, bpf_ringbuf_*() for ring buffers"},
      {"sleepable",
       "the callback may not sleep there: use SEC(\"struct_ops.s/…\") where it may, or another kfunc"},
  };
  for (const auto& known : kKnown)
    if (mentions(reason, known.words)) return std::string(known.advice);
  return {};
}

}  // namespace

void explain_load(const LoadFailure& load, Explanation& out) {
  const std::string program = load.program.empty() ? "" : fmt::format("program '{}' refused: ", load.program);
  const std::string place = load_place(load);
  const std::string in_place = place.empty() ? "" : fmt::format(" ({})", place);
  const std::string who = !load.function.empty() ? load.function : load.program;
  const std::string file(base_name(load.where.substr(0, load.where.rfind(':'))));
  const std::string_view did_not = load.attach ? "did not attach: " : "did not load: ";
  out.function = who;
  out.message = load.reason;
  if (const size_t colon = load.where.rfind(':'); colon != std::string::npos) {
    out.file = load.where.substr(0, colon);
    out.line = parse_number<uint32_t>(std::string_view(load.where).substr(colon + 1)).value_or(0);
  }
  if (!load.insn.empty()) out.evidence.push_back("at insn " + load.insn);
  switch (load.cause) {
    case LoadCause::kMissingKfunc:
      out.cls = "load/kfunc";
      out.summary =
          fmt::format("did not load: {}the kernel has no kfunc '{}' of that prototype", program, load.symbol);
      out.advice =
          "use a kernel that has it, or a scheduler of the kernel's age (test a __weak one before the call); "
          "where the "
          "kernel has it, compare the declaration: a struct that is only declared matches no kernel type";
      out.signature = "load: no kfunc " + load.symbol;
      break;
    case LoadCause::kPrototype:
      out.cls = "load/kfunc";
      out.summary = fmt::format(
          "did not load: {}{} another prototype in the kernel's BTF than in the scheduler", program,
          load.symbol.empty() ? "the sched_ext kfuncs have" : fmt::format("kfunc '{}' has", load.symbol));
      out.evidence.push_back(load.reason);
      out.advice =
          "the kernel's BTF was made by pahole older than 1.26, which leaves the implicit argument of kfuncs "
          "in "
          "their prototypes, or kernel and scheduler are of different ages: rebuild the kernel with a newer "
          "pahole, or take a scheduler of the kernel's age";
      out.signature = "load: kfunc prototypes of the kernel's BTF";
      break;
    case LoadCause::kNoSchedExt:
      out.cls = "load/no-sched-ext";
      out.summary = "did not load: the kernel has no sched_ext (its BTF has no struct sched_ext_ops)";
      out.advice = "use a kernel with CONFIG_SCHED_CLASS_EXT=y (6.12 or newer), BTF included";
      out.signature = "load: no sched_ext in the kernel";
      break;
    case LoadCause::kMissingType:
      out.cls = "load/btf-type";
      out.summary =
          fmt::format("did not load: {}the kernel's BTF has no {}{}", program,
                      mentions(load.symbol, "struct ") ? "" : "function or type ",
                      mentions(load.symbol, "struct ") ? load.symbol : fmt::format("'{}'", load.symbol));
      out.summary += in_place;
      out.advice =
          "the kernel is of another age than the program: test with bpf_core_field_exists() or "
          "bpf_core_type_exists(), or attach to a function that this kernel has";
      out.signature = "load: kernel BTF has no " + load.symbol;
      break;
    case LoadCause::kMissingSymbol:
      out.cls = "load/kernel-symbol";
      out.summary =
          fmt::format("did not load: {}the kernel tells no address of its symbol '{}'", program, load.symbol);
      out.advice =
          "variables are in /proc/kallsyms with CONFIG_KALLSYMS_ALL=y only; else declare the symbol __weak "
          "and "
          "test it";
      out.signature = "load: no kernel symbol " + load.symbol;
      break;
    case LoadCause::kNoKconfig:
      out.cls = "load/no-kconfig";
      out.summary = "did not load: libbpf finds no configuration of the running kernel (its Kconfig)";
      out.evidence.push_back(load.reason);
      out.advice =
          "it looks for /boot/config-RELEASE and /proc/config.gz: build the kernel with "
          "CONFIG_IKCONFIG_PROC=y, "
          "or put its config there; a service may see another /boot";
      out.signature = "load: no system Kconfig";
      break;
    case LoadCause::kProbeAttach: {
      out.cls = "load/probe-attach";
      out.summary = fmt::format(
          "did not attach: {}, which is beside the scheduler's struct_ops{}",
          load.program.empty() ? "a BPF program of the scheduler's"
                               : fmt::format("program '{}'", load.program),
          load.error.empty() ? "" : fmt::format(": {}{}", load.error, number_note("error " + load.error)));
      if (mentions(load.error, "usy"))
        out.evidence.push_back(
            "EBUSY is of this program's attach: it does not mean that another scheduler runs");
      out.lacks.push_back("which function or event it attaches to");
      out.advice =
          "check that the kernel can trace it: CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE, BPF "
          "trampolines "
          "(EBUSY, ENOTSUPP), and that the event exists (ENOENT)";
      out.signature = "load: attach of " +
                      (load.program.empty() ? std::string("a program beside struct_ops") : load.program);
      break;
    }
    case LoadCause::kMissingMember:
      out.cls = "load/member";
      out.summary = fmt::format("did not load: the kernel's sched_ext_ops has no member {}", load.symbol);
      out.advice = "the scheduler is newer than the kernel: use a newer kernel, or leave the member unset";
      out.signature = "load: no member " + load.symbol;
      break;
    case LoadCause::kMissingVariable:
      out.cls = "load/btf-variable";
      out.summary = fmt::format("did not load: kernel BTF has no variable '{}'", load.symbol);
      if (mentions(load.reason, "kcfg"))
        out.summary = fmt::format("did not load: the kernel's configuration has no '{}'", load.symbol);
      out.advice = "check that kernel and BTF are of one build (pahole's version, modules of another kernel)";
      out.signature = "load: no variable " + load.symbol + " in kernel BTF";
      break;
    case LoadCause::kNoBtf:
      out.cls = "load/no-btf";
      out.summary = "did not load: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
      out.advice = "build the kernel with CONFIG_DEBUG_INFO_BTF=y";
      out.signature = "load: no kernel BTF";
      break;
    case LoadCause::kHelper:
      out.cls = "load/helper";
      out.summary = fmt::format(
          "did not load: {}helper {} is not available to it (kernel configuration, or not for this program "
          "type){}",
          program, load.symbol, in_place);
      out.advice =
          "check the kernel's configuration (CONFIG_BPF_EVENTS, CONFIG_KPROBE_EVENTS for the probe_read "
          "helpers)";
      out.signature = fmt::format("load: helper {} not available: {}", load.symbol, who);
      break;
    case LoadCause::kTooLarge: {
      out.cls = "load/too-large";
      std::string_view count = number_at(load.reason, "Processed ");
      out.summary = fmt::format(
          "did not load: {}too large: {} instructions walked; the place is only where the budget ended",
          program, count.empty() ? "too many" : count);
      if (!place.empty()) out.evidence.push_back("the budget ended at " + place);
      out.advice = "bound the loops (bpf_for, bpf_loop), or move a part into a global function";
      out.signature = "load: too large" + (who.empty() ? "" : ": " + who);
      break;
    }
    case LoadCause::kUnusedProgram:
      out.cls = "load/unused-program";
      out.summary = fmt::format(
          "did not load: program '{}' is a struct_ops program, but no member of the scheduler's "
          "sched_ext_ops refers to it",
          load.symbol);
      out.advice = fmt::format(
          "set the member that '{}' implements in the SEC(\".struct_ops.link\") variable, or remove it",
          load.symbol);
      out.signature = "load: unused struct_ops program " + load.symbol;
      break;
    case LoadCause::kVerifier:
      if (!load.taken.empty()) out.evidence.push_back("the reference is taken at " + load.taken);
      out.advice = verifier_advice(load.reason);
      out.cls = "load/verifier";
      out.summary =
          fmt::format("did not load: {}{}{}", program.empty() ? "the verifier refused a program: " : program,
                      load.reason, in_place);
      out.signature =
          fmt::format("load: {}{}{}", plain_objection(load.reason), file.empty() ? "" : " @ " + file,
                      load.source.empty() ? "" : ": " + load.source);
      // Nothing but the program tells where: another one is another bug.
      if (file.empty() && load.source.empty() && !who.empty()) out.signature += " @ " + who;
      if (load.program.empty()) out.lacks.push_back("the refused program's name");
      break;
    case LoadCause::kCutLog:
      out.cls = "load/cut";
      out.summary =
          fmt::format("did not load: {}the verifier's log is cut off before its objection; last: {}", program,
                      place.empty() ? load.insn : place);
      if (!load.error.empty()) out.summary += fmt::format("; {}", load.error);
      out.lacks.push_back("the verifier's objection: the end of its log");
      out.signature =
          fmt::format("load: cut log: {}{}{}", who, file.empty() ? "" : (who.empty() ? "" : " @ ") + file,
                      load.source.empty() ? "" : ": " + load.source);
      break;
    case LoadCause::kAttachTooBig:
      // bpf_scx_init_member() in kernel/sched/ext.c, 6.12 to 7.3.
      out.cls = "load/ops-limit";
      out.summary =
          "did not attach: a number in the scheduler's sched_ext_ops is above the kernel's limit (E2BIG): "
          "timeout_ms may "
          "be 30000 at most, dispatch_max_batch 2147483647";
      out.evidence.push_back(load.reason);
      out.advice = "lower timeout_ms, or dispatch_max_batch";
      out.signature = "load: attach refused, E2BIG";
      break;
    case LoadCause::kAttachInvalid:
      // bpf_scx_init_member() in kernel/sched/ext.c, 6.12 to 7.3: what it refuses without a line in the kernel's log.
      out.cls = "load/ops-value";
      out.summary = fmt::format(
          "did not attach: {} [EINVAL]: when sched_ext says nothing of it in the kernel's log, the ops have "
          "a bit in "
          "flags that this kernel does not know, or a name that is empty or has other characters than "
          "letters, "
          "digits, _ and .",
          load.reason);
      out.lacks.push_back("the kernel's log: sched_ext says there why it refuses a scheduler");
      out.advice =
          "see dmesg for a line of sched_ext: of the same moment; without one, look at flags and name of the "
          "ops";
      out.signature = "load: attach refused, EINVAL";
      break;
    case LoadCause::kBusy:
    case LoadCause::kAttachNull:
      out.cls = "load/busy";
      out.summary = load.cause == LoadCause::kBusy
                        ? "did not attach: another sched_ext scheduler is running (EBUSY)"
                        : "did not attach: another sched_ext scheduler is running, most likely (attach "
                          "returned NULL; its errno is not in the text)";
      out.advice = "stop the other one: cat /sys/kernel/sched_ext/root/ops";
      if (load.cause == LoadCause::kAttachNull) out.lacks.push_back("the errno of the attach");
      out.signature = "load: attach refused, another scheduler";
      break;
    case LoadCause::kNotSupported:
      out.cls = "load/not-supported";
      out.summary =
          "did not load: the kernel refuses it with EOPNOTSUPP and the text has no reason: most likely the "
          "kernel is PREEMPT_RT, which sched_ext refuses";
      out.lacks.push_back("libbpf's lines before, and the kernel's release and configuration");
      out.advice = "check uname -v for PREEMPT_RT, and libbpf's log for a missing struct_ops member";
      out.signature = "load: EOPNOTSUPP, PREEMPT_RT";
      break;
    case LoadCause::kPermission:
      out.cls = "load/permission";
      out.summary = "did not load: not permitted (EPERM): it needs root, or CAP_BPF and CAP_PERFMON";
      out.signature = "load: EPERM";
      break;
    case LoadCause::kMap:
      out.cls = "load/map";
      out.summary = fmt::format("did not load: {}{}", load.reason, number_note(load.reason));
      out.signature = "load: " + plain_objection(load.reason);
      break;
    case LoadCause::kErrno:
    case LoadCause::kOther:
      out.cls = "load/other";
      out.summary =
          fmt::format("{}{}{}{}", did_not, program, load.reason, number_note("error " + load.reason));
      out.lacks.push_back("libbpf's or the verifier's own reason");
      if (load.attach) {
        out.lacks.push_back("the kernel's log: sched_ext says there why it refuses a scheduler");
        out.advice = "see dmesg for a line of sched_ext: of the same moment";
      } else if (load.cause == LoadCause::kErrno) {
        out.advice =
            "let the scheduler print what libbpf says, which has the reason: its option for more words (-v, "
            "--verbose, --log-level), or RUST_LOG=debug in its environment";
      }
      out.signature = (load.attach ? "attach: " : "load: ") + (who.empty() ? "" : who + ": ") +
                      plain_objection(load.reason);
      break;
  }
}

}  // namespace ktstr
