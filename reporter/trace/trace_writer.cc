#include "reporter/trace/trace_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "reporter/sections.h"
#include "schemas/crash_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/probe_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/unpack.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kBlock = 64 << 10;

std::string json_string(std::string_view text) { return json_text(Json(printable(text))); }

// Microseconds, as the format has them, without loss.
std::string micros(int64_t ns) {
  const int64_t us = ns / 1000, rest = ns % 1000;
  return rest == 0 ? std::to_string(us)
                   : fmt::format("{}{}.{:03}", ns < 0 && us == 0 ? "-" : "", us, rest < 0 ? -rest : rest);
}

// The bytes of a value as the plan says that they are meant; numbers little-endian.
std::string value_text(const ProbeValue& value, const ValueSpecT* spec) {
  if (value.failed() || !value.data()) return "not readable";
  const auto& data = *value.data();
  const ValueFormat format = spec ? spec->format : ValueFormat::Hex;
  if (format == ValueFormat::String || format == ValueFormat::CString) {
    std::string text(reinterpret_cast<const char*>(data.data()), data.size());
    return text.substr(0, text.find('\0'));
  }
  if (data.size() > 8) return hex_bytes({data.data(), data.size()});
  uint64_t number = 0;
  for (size_t i = 0; i < data.size(); ++i)
    number |= static_cast<uint64_t>(data[static_cast<unsigned>(i)]) << (8 * i);
  if (spec && spec->bit_size > 0 && spec->bit_size < 64)
    number = number >> (spec->bit_offset & 63) & ((1ull << spec->bit_size) - 1);
  if (format == ValueFormat::DsqId) return dsq_name(number);
  if (format == ValueFormat::Unsigned) return std::to_string(number);
  if (format == ValueFormat::Bool) return number ? "true" : "false";
  if (format == ValueFormat::Signed && data.size() > 0) {
    const unsigned unused = 64 - 8 * data.size();
    return std::to_string(static_cast<int64_t>(number << unused) >> unused);
  }
  if (format == ValueFormat::Enum && spec)
    for (size_t i = 0; i < spec->enum_values.size() && i < spec->enum_names.size(); ++i)
      if (spec->enum_values[i] == number) return spec->enum_names[i];
  return hex(number);
}

}  // namespace

TraceWriter::TraceWriter(Sink sink) : sink_(std::move(sink)) {
  buffer_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
}

TraceWriter::~TraceWriter() = default;

void TraceWriter::flush() {
  if (status_.ok() && !buffer_.empty()) status_ = sink_(buffer_);
  buffer_.clear();
}

void TraceWriter::event(std::string_view json) {
  buffer_ += first_ ? "\n" : ",\n";
  first_ = false;
  buffer_ += json;
  if (buffer_.size() >= kBlock) flush();
}

void TraceWriter::name_process(Group group, const std::string& name) {
  event(fmt::format(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":{}}}}})", process(group),
                    json_string(name)));
  event(fmt::format(R"({{"ph":"M","name":"process_sort_index","pid":{},"args":{{"sort_index":{}}}}})",
                    process(group), process(group)));
}

void TraceWriter::name_thread(Group group, int64_t thread, const std::string& name) {
  event(fmt::format(R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})",
                    process(group), thread, json_string(name)));
  event(fmt::format(R"({{"ph":"M","name":"thread_sort_index","pid":{},"tid":{},"args":{{"sort_index":{}}}}})",
                    process(group), thread, thread));
}

void TraceWriter::begin_log() {
  ++log_;
  clock_ = {};
  repro_clock_ = {};
  running_.clear();
  counters_.clear();
  metric_sources_ = {};
  plan_.reset();
  hits_.clear();
  trigger_.reset();
  hits_left_out_ = 0;
  last_ns_ = 0;
}

// A counter keeps its value until the next event of its name: one is written where it changes.
void TraceWriter::counter(const std::string& name, double value, int64_t at_ns) {
  auto it = counters_.find(name);
  if (it == counters_.end()) {
    if (counters_.size() >= kMostTracks) return;
    counters_.emplace(name, value);
  } else if (it->second == value) {
    return;
  } else {
    it->second = value;
  }
  event(fmt::format(R"({{"ph":"C","name":{},"pid":{},"tid":0,"ts":{},"args":{{"value":{}}}}})",
                    json_string(name), process(kCounters), micros(at_ns), value));
}

void TraceWriter::end_task(unsigned cpu, Running& task, int64_t at_ns) {
  if (at_ns > task.since_ns)
    event(fmt::format(
        R"({{"ph":"X","cat":"task","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{{"pid":{},"class":"{}"}}}})",
        json_string(fmt::format("{}[{}]", task.comm, task.pid)), process(kCpus), cpu, micros(task.since_ns),
        micros(at_ns - task.since_ns), task.pid, task.sched_class));
}

void TraceWriter::sample(const MonitorSample& sample, int64_t at_ns) {
  at_ns = std::max(at_ns, last_ns_);
  last_ns_ = at_ns;
  std::map<unsigned, Running> now;
  if (const auto* cpus = sample.cpus()) {
    for (const CpuSample* cpu : *cpus) {
      if (cpu->cpu() >= kMostCpus) continue;
      counter(fmt::format("nr_running CPU {}", cpu->cpu()), cpu->nr_running(), at_ns);
      counter(fmt::format("local DSQ CPU {}", cpu->cpu()), cpu->local_dsq_depth(), at_ns);
      if (const TaskSeen* task = cpu->curr(); task && !cpu->idle())
        now[cpu->cpu()] = {task->pid(), std::string(str(task->comm())),
                           EnumNameSchedClass(task->sched_class()), at_ns};
    }
  }
  for (auto& [cpu, task] : running_) {
    auto it = now.find(cpu);
    if (it != now.end() && it->second.pid == task.pid && it->second.comm == task.comm)
      it->second.since_ns = task.since_ns;
    else
      end_task(cpu, task, at_ns);
  }
  running_ = std::move(now);
  if (const auto* dsqs = sample.dsqs())
    for (const DsqSample* dsq : *dsqs)
      counter(dsq_name(dsq->id(), dsq->kind(), dsq->kind() == DsqKind::User ? 0 : dsq->place()), dsq->depth(),
              at_ns);
  if (const auto* counters = sample.counters())
    for (const Counter* one : *counters)
      counter(lower(str(one->name()).substr(0, 128)), static_cast<double>(one->value()), at_ns);
}

void TraceWriter::hit(const ProbeHit& seen) {
  if (hits_.size() >= kMostHits) {
    ++hits_left_out_;
    return;
  }
  const ProbeTargetT* target = nullptr;
  if (plan_)
    for (const auto& one : plan_->targets)
      if (one->id == seen.target()) target = one.get();
  OrderedJson args = OrderedJson::object();
  const bool exit = seen.when() == HitWhen::Exit;
  if (const auto* values = seen.values()) {
    for (const ProbeValue* value : *values) {
      const ValueSpecT* spec =
          target && value->index() < target->values.size() ? target->values[value->index()].get() : nullptr;
      args[spec ? printable(spec->name) : fmt::format("value {}", value->index())] =
          printable(value_text(*value, spec));
    }
  }
  if (exit) args["returns"] = hex(seen.retval());
  hits_.push_back({seen.ns(), seen.target(), seen.pid(), seen.cpu(), exit, json_text(args),
                   std::string(str(seen.comm()))});
}

void TraceWriter::fold(const EventBuffer& event) {
  const bool repro = event.vm() == Vm::Repro;
  switch (event.type()) {
    case Payload::VmStarted:
      if (repro) {  // the last try is shown
        hits_.clear();
        hits_left_out_ = 0;
        trigger_.reset();
      }
      return;
    case Payload::ReproRequested:
      plan_ = unpack<ProbePlanT>(*event.as<ReproRequested>()->plan());
      return;
    case Payload::ProbeHit:
      if (repro) hit(*event.as<ProbeHit>());
      return;
    case Payload::ProbeTriggered:
      if (repro) trigger_ = unpack<ProbeTriggeredT>(*event.as<ProbeTriggered>());
      return;
    case Payload::MetricsDeclared:
      metric_sources_.declare(str(event.as<MetricsDeclared>()->name()));
      return;
    case Payload::CollectorLine:
      if (!repro) metrics(event);
      return;
    default:
      break;
  }
  if (event.vm() != Vm::Primary) return;
  const auto* seen = event.as<MonitorSample>();
  const int64_t at = clock_.at(event, seen && event->stamp()->guest_ns() == 0 ? seen->guest_clock_ns() : 0);
  if (seen) sample(*seen, at);
}

void TraceWriter::metrics(const EventBuffer& event) {
  const CollectorLine& line = *event.as<CollectorLine>();
  const std::string source(line.name() ? str(line.name()) : str(event->source()));
  const int64_t at = clock_.at(event);
  for (const Metric& metric : metric_sources_.of(source, str(line.text())))
    counter(source + " " + metric.name, metric.value, at);
}

// Calls of each task, matched by function: a return belongs to the open call of its function. A call whose return was not kept ends
// with the call around it, with the next call of the same function, or when the scheduler was aborted; one whose return is not
// probed has no length.
void TraceWriter::probe_slices() {
  if (hits_.empty() && !trigger_) return;
  name_process(kProbes, "repro VM: probe hits (its own clock)");
  std::stable_sort(hits_.begin(), hits_.end(), [](const Hit& a, const Hit& b) { return a.ns < b.ns; });
  const uint64_t end = trigger_ ? trigger_->ns : hits_.empty() ? 0 : hits_.back().ns;
  std::map<uint32_t, const ProbeTargetT*> targets;
  if (plan_)
    for (const auto& target : plan_->targets) targets.emplace(target->id, target.get());
  const auto name_of = [&](uint32_t id) {
    auto it = targets.find(id);
    return it != targets.end() ? it->second->function : fmt::format("target {}", id);
  };
  std::map<int, std::string> tasks;
  std::map<int, std::vector<const Hit*>> open;
  const auto slice = [&](const Hit& from, uint64_t to, const Hit* exit, bool cut) {
    const int64_t start = static_cast<int64_t>(std::min<uint64_t>(from.ns, INT64_MAX));
    const uint64_t length = to > from.ns ? std::min<uint64_t>(to - from.ns, INT64_MAX) : 0;
    event(fmt::format(
        R"({{"ph":"X","cat":"probe","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{{"cpu":{},"task":{},"entry":{},"exit":{}{}}}}})",
        json_string(name_of(from.target)), process(kProbes), from.pid, micros(start),
        micros(static_cast<int64_t>(length)), from.cpu, json_string(from.comm), from.args,
        exit ? exit->args : "null", cut ? R"(,"note":"no return was seen")" : ""));
  };
  for (const Hit& hit : hits_) {
    tasks.emplace(hit.pid, hit.comm);
    std::vector<const Hit*>& calls = open[hit.pid];
    const auto same = std::find_if(calls.rbegin(), calls.rend(),
                                   [&](const Hit* call) { return call->target == hit.target; });
    if (same != calls.rend()) {
      const auto place = static_cast<size_t>(calls.rend() - same) - 1;
      for (size_t i = calls.size(); i-- > place + 1;) slice(*calls[i], hit.ns, nullptr, true);
      slice(*calls[place], hit.ns, hit.exit ? &hit : nullptr, !hit.exit);
      calls.resize(place);
    }
    if (hit.exit) continue;
    const auto target = targets.find(hit.target);
    if (target != targets.end() && !target->second->want_return)
      slice(hit, hit.ns, nullptr, false);
    else
      calls.push_back(&hit);
  }
  for (const auto& [pid, calls] : open)
    for (auto it = calls.rbegin(); it != calls.rend(); ++it)
      slice(**it, std::max(end, (*it)->ns), nullptr, true);
  for (const auto& [pid, comm] : tasks) name_thread(kProbes, pid, fmt::format("{}[{}]", comm, pid));
  if (trigger_)
    event(fmt::format(
        R"({{"ph":"i","s":"p","cat":"crash","name":"scheduler exit","pid":{},"tid":{},"ts":{},"args":{{"kind":{},"cpu":{},"task":{}}}}})",
        process(kProbes), trigger_->pid,
        micros(static_cast<int64_t>(std::min<uint64_t>(trigger_->ns, INT64_MAX))),
        json_string(exit_kind_name(trigger_->kind)), trigger_->cpu, json_string(trigger_->comm)));
}

void TraceWriter::end_log(const RunModel& model) {
  for (auto& [cpu, task] : running_) end_task(cpu, task, last_ns_);
  const VmRecord& vm = model.primary();
  const std::string test = model.started() ? model.spec().name : "unknown";
  name_process(kCpus, test + ": tasks on CPUs, as sampled");
  if (model.started() && model.spec().topology)
    for (unsigned cpu = 0; cpu < std::min<size_t>(cpu_count(model.spec()), kMostCpus); ++cpu)
      name_thread(kCpus, cpu, fmt::format("CPU {}", cpu));
  name_process(kCounters, test + ": counters");
  name_process(kRun, test + ": run");
  name_thread(kRun, 1, "phases");
  name_thread(kRun, 2, "events");
  const Moment& origin = vm.timeline.origin();
  const int64_t zero = origin.guest_ns ? static_cast<int64_t>(std::min<uint64_t>(origin.guest_ns, INT64_MAX))
                                       : clock_.guest_of_host(origin.host_ns);
  const auto guest_time = [&](const Moment& at) {
    return static_cast<int64_t>(static_cast<uint64_t>(zero) + static_cast<uint64_t>(between(origin, at)));
  };
  for (const PhaseRecord& phase : vm.timeline.phases()) {
    const int64_t from = guest_time(phase.start),
                  to = phase.end ? guest_time(*phase.end) : std::max(from, last_ns_);
    event(fmt::format(
        R"({{"ph":"X","cat":"phase","name":{},"pid":{},"tid":1,"ts":{},"dur":{},"args":{{"samples":{}}}}})",
        json_string(phase.name), process(kRun), micros(from), micros(std::max<int64_t>(to - from, 0)),
        phase.samples));
  }
  for (const Mark& mark : vm.timeline.marks())
    event(fmt::format(R"({{"ph":"i","s":"t","cat":"event","name":{},"pid":{},"tid":2,"ts":{}}})",
                      json_string(mark.source.empty() ? mark.text : mark.source + ": " + mark.text),
                      process(kRun), micros(guest_time(mark.at))));
  if (vm.scheduler.crash) {
    const CrashDetectedT& crash = *vm.scheduler.crash;
    OrderedJson args = {{"message", printable(crash.message)},
                        {"task", printable(crash.task_comm)},
                        {"pid", crash.task_pid},
                        {"cpu", crash.cpu},
                        {"backtrace", OrderedJson::array()}};
    for (const auto& frame : crash.backtrace) args["backtrace"].push_back(printable(frame->function));
    const int64_t at = vm.scenario_end ? guest_time(*vm.scenario_end) : last_ns_;
    event(fmt::format(R"({{"ph":"i","s":"g","cat":"crash","name":{},"pid":{},"tid":2,"ts":{},"args":{}}})",
                      json_string("crash: " + crash.reason), process(kRun), micros(at), json_text(args)));
  }
  if (hits_left_out_)
    event(fmt::format(R"({{"ph":"i","s":"p","name":"{} probe hits are left out","pid":{},"tid":0,"ts":{}}})",
                      hits_left_out_, process(kProbes), micros(last_ns_)));
  probe_slices();
}

Status TraceWriter::finish() {
  buffer_ += "\n]}\n";
  flush();
  return std::move(status_);
}

}  // namespace ktstr
