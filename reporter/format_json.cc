// One JSON object a test, on one line. Fields are added, never renamed.
#include "base/json.h"
#include "base/text.h"
#include "reporter/format.h"
#include "reporter/repro_words.h"
#include "reporter/sections.h"
#include "schemas/crash_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

using json = Json;

// Grows when a reader of the older form would misread.
constexpr int kJsonVersion = 1;

json texts(const std::vector<std::string>& lines) {
  json out = json::array();
  for (const std::string& line : lines) out.push_back(printable(line));
  return out;
}

json crash_json(const CrashDetectedT& crash) {
  json frames = json::array();
  for (const auto& f : crash.backtrace) {
    json frame = {{"function", printable(f->function)}, {"offset", f->offset}};
    if (!f->tag.empty()) frame["tag"] = printable(f->tag);
    if (!f->file.empty())
      frame["source"] = {{"file", printable(f->file)}, {"line", f->line}, {"text", printable(f->text)}};
    frames.push_back(frame);
  }
  return {{"kind", EnumNameCrashKind(crash.kind)},
          {"exit_kind", crash.exit_kind},
          {"reason", printable(crash.reason)},
          {"message", printable(crash.message)},
          {"ops", printable(crash.ops_name)},
          {"task", printable(crash.task_comm)},
          {"pid", crash.task_pid},
          {"cpu", crash.cpu},
          {"backtrace", frames}};
}

json stats_json(const WorkerStats& workers) {
  json out = json::array();
  for (const CgroupStats& c : workers.cgroups()) {
    out.push_back({{"cgroup", printable(c.name)},
                   {"work", EnumNameWorkType(c.work)},
                   {"workers", c.workers},
                   {"cpus", c.cpus},
                   {"run_min_pct", c.run_min_pct},
                   {"run_max_pct", c.run_max_pct},
                   {"spread_pct", c.spread_pct()},
                   {"gap_ns", c.gap_ns},
                   {"migrations", c.migrations},
                   {"iterations", c.iterations},
                   {"starved", c.starved},
                   {"wake_p99_ns", c.wake_p99_ns},
                   {"wake_max_ns", c.wake_max_ns}});
  }
  return out;
}

json payloads_json(const ScenarioRecord& scenario) {
  json out = json::array();
  for (const PayloadRecord& p : scenario.payloads()) {
    json one = {{"name", printable(p.name)},
                {"command", printable(p.command)},
                {"runs", p.started},
                {"lines", p.lines}};
    if (const auto& end = p.first_bad ? p.first_bad : p.last)
      one.update({{"exit_code", end->exit_code},
                  {"signal", end->signal},
                  {"duration_ns", end->duration_ns},
                  {"stopped", end->stopped},
                  {"timed_out", end->timed_out}});
    out.push_back(std::move(one));
  }
  return out;
}

json checks_json(const ScenarioRecord& scenario) {
  json out = json::array();
  for (const CheckReportedT& c : scenario.checks())
    out.push_back({{"name", printable(c.name)},
                   {"outcome", outcome_name(c.outcome)},
                   {"observed", printable(c.observed)},
                   {"threshold", printable(c.threshold)},
                   {"detail", printable(c.detail)},
                   {"file", printable(c.file)},
                   {"line", c.line}});
  return out;
}

json monitor_json(const MonitorSummary& m) {
  json counters = json::object();
  for (const auto& [name, track] : m.counters()) counters[printable(name)] = track.total();
  json programs = json::array();
  for (const auto& [id, use] : m.programs()) {
    programs.push_back({{"name", printable(use.name)},
                        {"verified_insns", use.verified_insns},
                        {"calls", use.run_count},
                        {"ns", use.run_ns}});
  }
  const LoadAverage& l = m.load();
  return {{"samples", m.samples()},
          {"scheduler_samples", l.samples},
          {"max_imbalance_ratio", l.imbalance_max},
          {"max_local_dsq_depth", l.dsq_max},
          {"sustained_violation", m.any_sustained()},
          {"stuck_cpu", m.sustained(m.stuck()) ? json(m.stuck_cpu()) : json()},
          {"avg_imbalance", l.mean(l.imbalance_sum)},
          {"avg_nr_running", l.mean(l.nr_running_sum)},
          {"avg_local_dsq", l.mean(l.dsq_sum)},
          {"counters", counters},
          {"programs", programs}};
}

json repro_json(const ReproFinishedT& repro) {
  json calls = json::array();
  for (const auto& c : repro.calls) {
    json values = json::array();
    for (const auto& v : c->values) {
      values.push_back({{"name", printable(v->name)},
                        {"type", printable(v->type_name)},
                        {"entry", printable(entry_words(*v))},
                        {"exit", printable(v->exit)}});
    }
    calls.push_back({{"function", printable(c->function)},
                     {"signature", printable(c->signature)},
                     {"source", printable(c->source)},
                     {"caller", printable(c->caller)},
                     {"hit", c->hit},
                     {"note", printable(call_note(*c))},
                     {"ns_before", c->ns_before},
                     {"cpu", c->cpu},
                     {"pid", c->pid},
                     {"comm", printable(c->comm)},
                     {"values", values},
                     {"returns", printable(return_words(*c))}});
  }
  return {{"status", EnumNameReproStatus(repro.status)},
          {"detail", printable(outcome_words(repro))},
          {"tries", repro.tries},
          {"same", repro.same},
          {"trigger", printable(repro.trigger)},
          {"hits", repro.hits},
          {"hits_dropped", repro.hits_dropped},
          {"calls", calls}};
}

}  // namespace

std::string json_fields(const JudgedRun& run) {
  const Judgement& j = run.report->judgement;
  const RunModel& model = *run.model;
  json out = {{"outcome", outcome_name(j.outcome)},
              {"exit_code", exit_code(j.code)},
              {"summary", printable(j.summary)},
              {"reason", printable(j.reason)},
              {"signature", printable(j.signature)},
              {"detail", texts(j.detail)},
              {"notes", texts(j.notes)}};
  if (model.started()) {
    const VmRecord& vm = model.primary();
    const RunStartedT& r = model.run();
    out["run_id"] = printable(r.run_id);
    out["spec"] = {{"file", printable(r.spec->file)}, {"line", r.spec->line}};
    out["scheduler"] = r.spec->scheduler ? json(printable(r.spec->scheduler->name)) : json();
    out["kernel"] = printable(kernel_release(model));
    if (r.accelerator)
      out["accelerator"] = {{"name", printable(r.accelerator->name)},
                            {"reason", printable(r.accelerator->reason)}};
    if (const std::string begun = vm.boot.how_it_began(); !begun.empty()) out["vm"] = printable(begun);
    out["cpus"] = cpu_count(*r.spec);
    out["scenario_ns"] = scenario_ns(model);
    out["stage"] = stage_name(vm.boot.stage);
    out["rerun"] = printable(r.rerun);
    out["stats"] = stats_json(vm.workers);
    if (!vm.scenario.payloads().empty()) out["payloads"] = payloads_json(vm.scenario);
    if (!vm.scenario.checks().empty()) out["checks"] = checks_json(vm.scenario);
    out["monitor"] = monitor_json(vm.monitor.summary);
    if (vm.scheduler.crash) out["crash"] = crash_json(*vm.scheduler.crash);
    for (const KernelMessage& message : vm.kernel.messages)
      out["kernel_messages"].push_back({{"kind", EnumNameFaultKind(message.fault.kind)},
                                        {"summary", printable(kernel_message_words(message.fault))},
                                        {"function", printable(message.fault.function)},
                                        {"from_scheduler_start", message.from_scheduler_start}});
    if (model.repro_finished()) out["repro"] = repro_json(*model.repro_finished());
  }
  const std::string text = json_text(out);
  return text.substr(1, text.size() - 2);
}

std::string render_json(const JudgedTest& test) {
  const RunFacts& last = test.last();
  OrderedJson head = {{"version", kJsonVersion}, {"test", last.name}, {"status", status_name(test.status())}};
  if (last.rounds > 1) {
    head["round"] = last.round;
    head["rounds"] = last.rounds;
  }
  if (test.tries.size() > 1) {
    head["tries"] = OrderedJson::array();
    for (const RunFacts& one : test.tries)
      head["tries"].push_back({{"try", one.try_number},
                               {"outcome", outcome_name(one.outcome)},
                               {"exit_code", exit_code(one.code)},
                               {"summary", one.summary},
                               {"signature", one.signature},
                               {"run_id", one.run_id}});
  }
  if (test.tries.empty()) {
    head.update({{"outcome", outcome_name(Outcome::Inconclusive)},
                 {"exit_code", exit_code(test.code())},
                 {"summary", "not run"},
                 {"spec", {{"file", last.file}, {"line", last.line}}},
                 {"kernel", last.kernel}});
    return json_text(head) + "\n";
  }
  std::string text = json_text(head);
  text.back() = ',';
  return text + last.json + "}\n";
}

}  // namespace ktstr
