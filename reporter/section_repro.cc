// `--- auto-repro ---`.
#include <algorithm>

#include "base/text.h"
#include "reporter/repro_words.h"
#include "reporter/sections.h"
#include "schemas/repro_generated.h"

namespace ktstr {
namespace {

std::string change(const DecodedValueT& value) {
  if (value.exit.empty() || value.exit == value.entry) return entry_words(value);
  return fmt::format("{} → {}", entry_words(value), value.exit);
}

// What the probes took; a log before that was recorded says nothing.
std::string probes_words(const ReproFinishedT& repro) {
  if (repro.probes == ReproProbes::Unstated) return "";
  const bool light = repro.probes == ReproProbes::Light;
  return fmt::format("; {} probes, {}", light ? "light" : "full",
                     repro.probes_asked ? "as asked for"
                     : light            ? "as the backtrace gives the chain"
                                        : "as no backtrace gives the chain");
}

void print_call(size_t number, const DecodedCallT& call, Page& page) {
  const char* kind = call.kind == ProbeKind::Callback  ? "  [scheduler callback]"
                     : call.kind == ProbeKind::Subprog ? "  [scheduler]"
                                                       : "";
  page.linef("{:>3}. {}{}", number, call.signature.empty() ? call.function + "()" : call.signature, kind);
  if (!call.source.empty())
    page.linef("       at {}{}", call.source, call.source_text.empty() ? "" : ": " + call.source_text);
  if (!call.caller.empty()) page.linef("       {} → {}", call.caller, call.function);
  const std::string note = call_note(call);
  if (call.hit) {
    page.linef("       CPU {}, {}[{}], {} before the crash", call.cpu, call.comm, call.pid,
               human_ns(call.ns_before));
  } else {
    page.linef("       not hit{}", note.empty() ? "" : ": " + note);
  }
  if (call.hit && !note.empty()) page.linef("       note: {}", note);
  Table table({});
  std::vector<std::vector<std::string>> rows;
  for (const auto& value : call.values) rows.push_back({value->name, value->type_name, change(*value)});
  if (!call.retval.empty()) rows.push_back({"returns", "", return_words(call)});
  if (rows.empty()) return;
  table = Table(rows.front());
  for (size_t i = 1; i < rows.size(); ++i) table.row(rows[i]);
  table.print(page, "         ");
}

// "rq=0xff…, p=cg_0/1[119], enq_flags=SCX_ENQ_WAKEUP; p->scx.slice 5 → 9; returns 0"
std::string in_one_line(const DecodedCallT& call) {
  std::string out, changed;
  auto field = [&](const std::string& name) {
    auto it =
        std::find_if(call.values.begin(), call.values.end(), [&](const auto& v) { return v->name == name; });
    return it == call.values.end() ? std::string() : (*it)->entry;
  };
  for (const auto& v : call.values) {
    if (!v->exit.empty()) changed += fmt::format("; {} {}", v->name, change(*v));
    if (v->name.find("->") != std::string::npos) continue;
    std::string comm = field(v->name + "->comm"), pid = field(v->name + "->pid");
    if (comm.size() >= 2 && comm.front() == '"') comm = comm.substr(1, comm.size() - 2);
    out += fmt::format("{}{}={}", out.empty() ? "" : ", ", v->name,
                       pid.empty() ? v->entry : fmt::format("{}[{}]", comm, pid));
  }
  out += changed;
  const std::string result = return_value(call);
  if (!result.empty()) out += fmt::format("{}returns {}", out.empty() ? "" : "; ", result);
  return out;
}

void print_history(const std::vector<std::unique_ptr<DecodedCallT>>& earlier, Page& page) {
  if (earlier.empty()) return;
  page.line("earlier calls of the same functions on that CPU, by any task, newest first:");
  for (size_t i = 0; i < earlier.size();) {
    const std::string& function = earlier[i]->function;
    page.linef("     {}", function);
    Table table({"before the crash", "by", "with"});
    for (; i < earlier.size() && earlier[i]->function == function; ++i)
      table.row({human_ns(earlier[i]->ns_before), fmt::format("{}[{}]", earlier[i]->comm, earlier[i]->pid),
                 in_one_line(*earlier[i])});
    table.print(page, "       ");
  }
}

void print_finished(const ReproFinishedT& repro, const KernelInfoT* kernel, Page& page) {
  std::string tries =
      repro.tries ? fmt::format(" ({} of {} {})", repro.same, repro.tries, repro.tries == 1 ? "try" : "tries")
                  : "";
  const std::string outcome = outcome_words(repro);
  page.linef("crash reproduction: {}{}{}", repro_status_name(repro.status), tries,
             outcome.empty() ? "" : ": " + outcome);
  if (repro.status == ReproStatus::DifferentCrash) {
    page.linef("  primary VM: {}", repro.signature_primary);
    page.linef("  repro VM:   {}", repro.signature_repro);
  } else if (!repro.signature_primary.empty()) {
    page.linef("signature: {}", repro.signature_primary);
  }
  if (!repro.trigger.empty()) page.linef("trigger: {}", repro.trigger);
  if (repro.hits || repro.hits_dropped)
    page.linef("probe hits: {}{}", repro.hits,
               repro.hits_dropped ? fmt::format(", {} dropped", repro.hits_dropped) : "");
  if (!repro.calls.empty()) {
    // Without a backtrace that leads to the cause there is no caller to name.
    const bool nested =
        std::any_of(repro.calls.begin(), repro.calls.end(), [](const auto& c) { return !c->caller.empty(); });
    page.line(nested || repro.calls.size() == 1
                  ? "crash chain, in call order (a → b: at the call, at its return):"
                  : "no backtrace leads to the cause: the last calls on the ways of a task through the "
                    "scheduler, oldest first "
                    "(a → b: at the call, at its return):");
    size_t number = 0;
    for (const auto& call : repro.calls) print_call(++number, *call, page);
  }
  print_history(repro.earlier, page);
  if (!repro.dropped.empty()) {
    page.line("not probed:");
    Table table({"function", "why"});
    for (const auto& frame : repro.dropped) table.row({frame->function, frame->reason});
    table.print(page, "     ");
  }
  // How much slower the workers of the repro VM ran: probes can hide a race.
  if (repro.slowdown > 0)
    page.linef("probes cost {:.2f}x (iterations of the workers, primary VM over repro VM){}", repro.slowdown,
               probes_words(repro));
  const std::string hint = hint_words(repro, kernel);
  if (!hint.empty()) page.line("hint: " + hint);
}

void print_probes(const RunModel& model, Page& page) {
  const auto& probes = model.probes();
  if (!probes) return;
  page.linef(
      "probes: {} attached in {}{}{}", probes->attached.size(), human_ns(probes->attach_ns),
      probes->hold_ns ? fmt::format(", scheduler paused {} at its attach", human_ns(probes->hold_ns)) : "",
      model.probes_finished() && model.probes_finished()->cost_ns_per_hit
          ? fmt::format(", {} per hit", human_ns(model.probes_finished()->cost_ns_per_hit))
          : "");
  if (probes->failed.empty()) return;
  page.line("could not be attached:");
  Table table({"function", "why"});
  for (const auto& frame : probes->failed) table.row({frame->function, frame->reason});
  table.print(page, "     ");
}

void tail_title(const char* what, size_t shown, uint64_t total, Page& page) {
  if (total == 0)
    page.linef("repro {}: empty", what);
  else
    page.linef("repro {} (last {} of {} lines):", what, shown, total);
}

void print_tails(const VmRecord& vm, Page& page) {
  const HeadTail& log = vm.text.scheduler_log.kept();
  if (vm.text.scheduler_log.empty())
    page.line("repro scheduler log: empty");
  else if (log.left_out() == 0)
    page.linef("repro scheduler log ({} lines):", vm.text.scheduler_log.total());
  else
    page.linef("repro scheduler log (last {} lines, {} came in):", log.tail().size(),
               vm.text.scheduler_log.total());
  page.log(log, "  ");
  tail_title("sched_ext dump", vm.text.dump.tail().size(), vm.text.dump.total(), page);
  page.log(vm.text.dump, "  ");
  auto console = vm.text.console_tail.lines();
  tail_title("dmesg", console.size(), vm.text.console_lines, page);
  for (std::string_view text : console) page.line("  " + std::string(text));
}

}  // namespace

void repro_section(const RunModel& model, const Judgement& judgement, Page& page) {
  const auto& finished = model.repro_finished();
  const VmRecord* vm = model.repro();
  bool crashed = needs_diagnostics(judgement.kind);
  bool relevant = finished || vm || model.repro_requested() || (crashed && model.repro_declined());
  if (!relevant) return;
  page.title("auto-repro");
  if (finished) {
    print_finished(*finished, model.run().kernel.get(), page);
  } else if (model.repro_declined()) {
    const char* status = crashed && !model.primary().boot.workload_started ? "PRIMARY DID NOT REACH WORKLOAD"
                                                                           : "not attempted";
    page.linef("crash reproduction: {}: {}", status, *model.repro_declined());
  } else {
    page.line("crash reproduction: not finished: the run ended before the repro VM's result was known");
  }
  if (!vm) return;
  print_probes(model, page);
  uint64_t duration = vm->boot.exited ? vm->boot.exited->duration_ns : finished ? finished->duration_ns : 0;
  page.linef("repro VM duration: {}", duration ? human_ns(duration) : "not recorded");
  print_tails(*vm, page);
}

}  // namespace ktstr
