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
      out.summary = fmt::format("did not load: {}the kernel has no kfunc '{}'", program, load.symbol);
      if (mentions(load.reason, "incompatible"))
        out.summary = fmt::format("did not load: {}the kernel's kfunc '{}' has another prototype", program,
                                  load.symbol);
      out.advice =
          "use a kernel that has it, or a scheduler of the kernel's age (a kfunc that may be missing is "
          "declared __weak)";
      out.signature = "load: no kfunc " + load.symbol;
      break;
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
          fmt::format("did not load: {}{}{}", program, load.reason, number_note("error " + load.reason));
      out.lacks.push_back("libbpf's or the verifier's own reason");
      out.signature = "load: " + (who.empty() ? "" : who + ": ") + plain_objection(load.reason);
      break;
  }
}

}  // namespace ktstr
