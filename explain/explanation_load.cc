#include "explain/explanation_parts.h"

#include <fmt/format.h>

#include "base/numbers.h"
#include "explain/error_words.h"
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
    case LoadCause::kVerifier:
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
