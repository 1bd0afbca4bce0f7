#include "reporter/html/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/json.h"
#include "base/text.h"
#include "reporter/repro_words.h"
#include "reporter/sections.h"
#include "reporter/wait_place.h"
#include "schemas/crash_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

using json = OrderedJson;

constexpr size_t kMostDsqs = 12, kMostCounters = 12;  // lines of one chart
constexpr size_t kMostMetricLines = 12, kMostMetricCharts = 24;
constexpr size_t kMostFrozenMaps = 64, kMostEntries = 64, kMostFields = 64, kMostTasks = 256;
constexpr size_t kMostTextBytes = 4 << 20;

int64_t us(int64_t ns) { return ns / 1000; }

// Times of the page: microseconds from the workload's start (without one from the VM's), as the report counts them.
struct PageClock {
  Moment origin;
  int64_t origin_guest_ns;

  PageClock(const VmRecord& vm, const RunPicture& picture)
      : origin(vm.timeline.origin()),
        origin_guest_ns(origin.guest_ns ? static_cast<int64_t>(origin.guest_ns)
                                        : picture.clock().guest_of_host(origin.host_ns)) {}
  int64_t of(const Moment& at) const { return us(between(origin, at)); }
  int64_t of_guest(int64_t guest_ns) const {  // unsigned: a damaged log may hold any times
    return us(static_cast<int64_t>(static_cast<uint64_t>(guest_ns) - static_cast<uint64_t>(origin_guest_ns)));
  }
};

json phases_json(const VmRecord& vm, const PageClock& clock) {
  json out = json::array();
  for (const PhaseRecord& p : vm.timeline.phases())
    out.push_back({{"name", printable(p.name)},
                   {"from", clock.of(p.start)},
                   {"to", p.end ? json(clock.of(*p.end)) : json()}});
  return out;
}

json marks_json(const VmRecord& vm, const PageClock& clock) {
  json out = json::array();
  for (const Mark& mark : vm.timeline.marks())
    out.push_back(
        {{"at", clock.of(mark.at)}, {"source", printable(mark.source)}, {"text", printable(mark.text)}});
  return out;
}

// Places of the greatest values, greatest first, those of 0 left out.
std::vector<size_t> greatest(const std::vector<double>& values, size_t most) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](size_t i) { return values[i] <= 0; });
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  if (order.size() > most) order.resize(most);
  return order;
}

double rounded(double value) { return static_cast<double>(static_cast<int64_t>(value * 100 + 0.5)) / 100; }

// The growth of a total per second from one step to the next; null where a sample lacks it. A total that shrank began again.
template <typename TotalOf>
json rates(const std::vector<const SampleSeries::Step*>& steps, const TotalOf& total_of) {
  json out = json::array();
  const SampleSeries::Step* before = nullptr;
  for (const SampleSeries::Step* step : steps) {
    const std::optional<double> now = total_of(*step);
    const std::optional<double> then = before ? total_of(*before) : std::nullopt;
    const double seconds = before ? static_cast<double>(step->last_ns - before->last_ns) / 1e9 : 0;
    if (now && then && seconds > 0)
      out.push_back(rounded(std::max(0.0, *now >= *then ? *now - *then : *now) / seconds));
    else
      out.push_back(nullptr);
    if (now) before = step;
  }
  return out;
}

json dsq_series(const SampleSeries& s, const std::vector<const SampleSeries::Step*>& steps, json& out) {
  std::vector<double> deepest(s.dsqs().size());
  for (const auto* step : steps)
    for (size_t i = 0; i < step->dsqs.size(); ++i) deepest[i] = std::max<double>(deepest[i], step->dsqs[i]);
  json lines = json::array();
  const std::vector<size_t> shown = greatest(deepest, kMostDsqs);
  for (size_t at : shown) {
    const auto& [kind, id, place] = s.dsqs()[at];
    json values = json::array();
    for (const auto* step : steps) values.push_back(at < step->dsqs.size() ? step->dsqs[at] : 0);
    lines.push_back({{"name", dsq_name(id, kind, place)}, {"values", std::move(values)}});
  }
  const auto used =
      static_cast<size_t>(std::count_if(deepest.begin(), deepest.end(), [](auto d) { return d > 0; }));
  out["dsqs_empty"] = deepest.size() - used;
  out["dsqs_left_out"] = used - shown.size() + (s.dsqs_left_out() ? 1 : 0);
  return lines;
}

json counter_series(const SampleSeries& s, const std::vector<const SampleSeries::Step*>& steps) {
  std::vector<double> growth(s.counters().size()), last(s.counters().size());
  for (const auto* step : steps) {
    for (size_t i = 0; i < step->counters.size(); ++i) {
      const auto now = static_cast<double>(step->counters[i]);
      growth[i] += std::max(0.0, now - last[i]);
      last[i] = now;
    }
  }
  json lines = json::array();
  for (size_t at : greatest(growth, kMostCounters)) {
    if (s.counters()[at].ends_with("DURATION")) continue;  // a time, no count
    lines.push_back({{"name", printable(lower(s.counters()[at]))},
                     {"values", rates(steps, [&](const SampleSeries::Step& step) -> std::optional<double> {
                        if (at >= step.counters.size()) return std::nullopt;
                        return static_cast<double>(step.counters[at]);
                      })}});
  }
  return lines;
}

// One chart for the series of a source whose names end alike ("cpu0.run", "cpu1.run"), one for those without a dot in their names.
// Of each step the last value since the step before it.
json metrics_json(const MetricSeries& metrics, const SampleSeries& s,
                  const std::vector<const SampleSeries::Step*>& steps) {
  std::map<std::string, json> charts;
  for (const auto& [key, series] : metrics.series()) {
    const auto& [source, name] = key;
    const size_t dot = name.rfind('.');
    json& lines = charts[printable(source + (dot == std::string::npos ? "" : ": " + name.substr(dot + 1)))];
    if (lines.size() >= kMostMetricLines) continue;
    json values = json::array();
    auto point = series.points.begin();
    for (const auto* step : steps) {
      const int64_t end = s.origin_ns() + (step - s.steps().data() + 1) * s.width_ns();
      json value;
      for (; point != series.points.end() && (point->guest_ns < end || step == steps.back()); ++point)
        value = point->value;
      values.push_back(std::move(value));
    }
    lines.push_back({{"name", printable(name.substr(0, dot))}, {"values", std::move(values)}});
  }
  json out = json::array();
  for (auto& [title, lines] : charts) {
    if (out.size() < kMostMetricCharts) out.push_back({{"title", title}, {"lines", std::move(lines)}});
  }
  return out;
}

json series_json(const SampleSeries& s, const MetricSeries& metrics, const PageClock& clock) {
  std::vector<const SampleSeries::Step*> steps;
  json places = json::array(), running = json::array(), waits = json::array(), mean = json::array();
  for (size_t i = 0; i < s.steps().size(); ++i) {
    if (s.steps()[i].samples == 0) continue;
    steps.push_back(&s.steps()[i]);
    places.push_back(i);
    waits.push_back(us(static_cast<int64_t>(std::min<uint64_t>(s.steps()[i].wait_ns, INT64_MAX))));
    mean.push_back(rounded(static_cast<double>(s.steps()[i].running) / s.steps()[i].samples));
  }
  if (steps.empty()) return nullptr;
  json cpus = json::array(), local = json::array();
  for (size_t cpu = 0; cpu < s.cpus(); ++cpu) {
    json row = json::array(), local_row = json::array();
    bool any_local = false;
    for (const auto* step : steps) {
      const SampleSeries::Cpu one = cpu < step->cpus.size() ? step->cpus[cpu] : SampleSeries::Cpu{};
      row.push_back(one.running);
      local_row.push_back(one.local);
      any_local = any_local || one.local > 0;
    }
    running.push_back(std::move(row));
    local.push_back(any_local ? std::move(local_row) : json());
  }
  json out = {{"from", clock.of_guest(s.origin_ns())},
              {"width", us(s.width_ns())},
              {"steps", std::move(places)},
              {"running", std::move(running)},
              {"local", std::move(local)},
              {"total", std::move(mean)},
              {"wait_us", std::move(waits)}};
  out["dsqs"] = dsq_series(s, steps, out);
  out["counters"] = counter_series(s, steps);
  if (!metrics.series().empty()) out["metrics"] = metrics_json(metrics, s, steps);
  json stats = json::array();
  for (size_t i = 0; i < std::size(SampleSeries::kSchedstats); ++i)
    stats.push_back({{"name", SampleSeries::kSchedstats[i]},
                     {"values", rates(steps, [&](const SampleSeries::Step& step) -> std::optional<double> {
                        if (i >= step.schedstats.size()) return std::nullopt;
                        return static_cast<double>(step.schedstats[i]);
                      })}});
  if (std::any_of(steps.begin(), steps.end(), [](const auto* step) { return !step->schedstats.empty(); }))
    out["schedstats"] = std::move(stats);
  return out;
}

json logs_json(const RunPicture& picture, const PageClock& clock) {
  json out = json::array();
  for (const RunPicture::Log& log : picture.logs()) {
    json times = json::array(), texts = json::array();
    const auto add = [&](const TimedLines::Line& line) {
      times.push_back(log.name.starts_with("repro VM") ? us(line.guest_ns) : clock.of_guest(line.guest_ns));
      texts.push_back(printable(line.text));
    };
    for (const auto& line : log.lines.head()) add(line);
    for (const auto& line : log.lines.tail()) add(line);
    out.push_back({{"name", printable(log.name)},
                   {"total", log.lines.total()},
                   {"left_out", log.lines.left_out()},
                   {"left_out_after", log.lines.head().size()},
                   {"times", std::move(times)},
                   {"lines", std::move(texts)}});
  }
  return out;
}

json frame_json(const ChainFrameT& f) {
  json out = {{"function", printable(f.function)}, {"bpf", !f.tag.empty()}};
  if (f.uncertain) out["uncertain"] = true;
  if (!f.file.empty()) out["source"] = printable(f.line ? fmt::format("{}:{}", f.file, f.line) : f.file);
  if (!f.text.empty()) out["text"] = printable(f.text);
  return out;
}

json crash_json(const CrashDetectedT& crash) {
  json frames = json::array();
  for (const auto& f : crash.backtrace) frames.push_back(frame_json(*f));
  return {{"reason", printable(crash.reason)},
          {"message", printable(crash.message)},
          {"task", printable(crash.task_comm)},
          {"pid", crash.task_pid},
          {"cpu", crash.cpu},
          {"source", printable(crash.source)},
          {"frames", std::move(frames)}};
}

json task_json(const TaskSeenT& task, int named) {
  json out = {{"task", printable(fmt::format("{}[{}]", task.comm, task.pid))}};
  if (named != 0 && task.pid == named) out["named"] = true;
  if (!task.state.empty() && task.state != "R") out["state"] = printable(task.state);
  if (task.wait_ns) out["waits"] = human_ns(task.wait_ns);
  if (!task.cpus.empty()) out["cpus"] = printable(task.cpus);
  return out;
}

template <typename Tasks>
json tasks_json(const Tasks& tasks, int named) {
  json out = json::array();
  for (const auto& task : tasks)
    if (out.size() < kMostTasks) out.push_back(task_json(*task, named));
  return out;
}

json frozen_maps(const GuestFrozenT& f) {
  json out = json::array();
  for (const auto& map : f.maps) {
    if (out.size() >= kMostFrozenMaps) break;
    json entries = json::array();
    for (const auto& entry : map->entries) {
      if (entries.size() >= kMostEntries) break;
      json fields = json::array();
      for (const auto& field : entry->fields)
        if (fields.size() < kMostFields) fields.push_back({printable(field->name), printable(field->value)});
      entries.push_back(
          {{"key", printable(entry->key)},
           {"fields", std::move(fields)},
           {"left_out",
            entry->fields_left_out + (entry->fields.size() - std::min(entry->fields.size(), kMostFields))}});
    }
    const size_t more = map->entries.size() - entries.size() + map->entries_left_out;
    out.push_back({{"name", printable(map->name)},
                   {"type", printable(map->type_name)},
                   {"note", printable(map->note)},
                   {"entries", std::move(entries)},
                   {"left_out", more}});
  }
  return out;
}

json frozen_json(const GuestFrozenT& f, int named) {
  json cpus = json::array(), dsqs = json::array(), threads = json::array(), absent = json::array();
  for (const auto& cpu : f.cpus)
    cpus.push_back({{"cpu", cpu->cpu},
                    {"idle", cpu->idle},
                    {"runs", cpu->curr ? task_json(*cpu->curr, named) : json()},
                    {"runnable", cpu->nr_running},
                    {"scx", cpu->scx_nr_running},
                    {"tasks", tasks_json(cpu->tasks, named)}});
  for (const auto& dsq : f.dsqs) {
    if (dsq->depth == 0 && dsq->tasks.empty()) continue;
    dsqs.push_back({{"name", dsq_name(dsq->id, dsq->kind, dsq->place)},
                    {"depth", dsq->depth},
                    {"tasks", tasks_json(dsq->tasks, named)},
                    {"left_out", dsq->tasks_left_out}});
  }
  for (const auto& thread : f.threads) {
    json stack = json::array();
    for (const std::string& function : thread->stack) stack.push_back(printable(function));
    threads.push_back({{"name", printable(fmt::format("{}[{}]", thread->comm, thread->pid))},
                       {"state", printable(thread->state)},
                       {"waits_in", printable(thread->wait_channel)},
                       {"stack", std::move(stack)}});
  }
  for (const std::string& what : f.absent) absent.push_back(printable(what));
  return {{"title", f.early ? "while a task waited" : "at the exit"},
          {"reason", printable(f.reason)},
          {"held", f.held_ns ? human_ns(f.held_ns) : ""},
          {"note", printable(f.note)},
          {"artifact", printable(f.artifact)},
          {"cpus", std::move(cpus)},
          {"dsqs", std::move(dsqs)},
          {"maps", frozen_maps(f)},
          {"threads", std::move(threads)},
          {"absent", std::move(absent)}};
}

json call_json(const DecodedCallT& call) {
  json values = json::array();
  for (const auto& v : call.values) {
    json one = {printable(v->name), printable(v->type_name), printable(entry_words(*v))};
    if (!v->exit.empty() && v->exit != v->entry) one.push_back(printable(v->exit));
    values.push_back(std::move(one));
  }
  json out = {{"function", printable(call.function)},
              {"signature", printable(call.signature)},
              {"kind", call.kind == ProbeKind::Callback  ? "scheduler callback"
                       : call.kind == ProbeKind::Subprog ? "scheduler"
                                                         : ""},
              {"caller", printable(call.caller)},
              {"hit", call.hit},
              {"note", printable(call_note(call))}};
  if (!call.source.empty()) out["source"] = printable(call.source);
  if (!call.source_text.empty()) out["text"] = printable(call.source_text);
  if (call.hit)
    out["where"] = printable(fmt::format("CPU {}, {}[{}], {} before the crash", call.cpu, call.comm, call.pid,
                                         human_ns(call.ns_before)));
  out["values"] = std::move(values);
  if (const std::string words = return_words(call); !words.empty()) out["returns"] = printable(words);
  return out;
}

json chain_json(const RunModel& model, const ReproFinishedT& repro) {
  json calls = json::array(), earlier = json::array(), dropped = json::array();
  for (const auto& call : repro.calls) calls.push_back(call_json(*call));
  for (const auto& call : repro.earlier)
    if (earlier.size() < 256) earlier.push_back(call_json(*call));
  for (const auto& frame : repro.dropped)
    dropped.push_back({printable(frame->function), printable(frame->reason)});
  return {{"status", repro_status_name(repro.status)},
          {"detail", printable(outcome_words(repro))},
          {"hint", printable(hint_words(repro, model.run().kernel.get()))},
          {"tries", repro.tries},
          {"same", repro.same},
          {"trigger", printable(repro.trigger)},
          {"hits", repro.hits},
          {"hits_dropped", repro.hits_dropped},
          {"calls", std::move(calls)},
          {"earlier", std::move(earlier)},
          {"dropped", std::move(dropped)}};
}

std::string text_for_page(const std::string& text) {
  if (text.size() <= kMostTextBytes) return text;
  return text.substr(0, kMostTextBytes) +
         "\n… the report is longer: ktstr-launch replay prints all of it …\n";
}

}  // namespace

std::string for_script(std::string text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (char c : text) {
    if (c == '<')
      out += "\\u003c";
    else if (c == '>')
      out += "\\u003e";
    else if (c == '&')
      out += "\\u0026";
    else
      out += c;
  }
  return out;
}

std::string page_data(const JudgedRun& run, const RunPicture& picture, bool brief) {
  const Judgement& j = run.report->judgement;
  const RunModel& model = *run.model;
  json out = {{"outcome", outcome_name(j.outcome)},
              {"summary", printable(j.summary)},
              {"reason", printable(j.reason)},
              {"signature", printable(j.signature)},
              {"text", text_for_page(run.report->text)}};
  if (!model.started()) return for_script(json_text(out));
  const RunStartedT& r = model.run();
  const VmRecord& vm = model.primary();
  out["rerun"] = printable(r.rerun);
  json facts = json::array();
  const auto fact = [&](const char* name, const std::string& value) {
    if (!value.empty()) facts.push_back({name, printable(value)});
  };
  fact("run", r.run_id);
  fact("spec", r.spec->line ? fmt::format("{}:{}", r.spec->file, r.spec->line) : r.spec->file);
  fact("scheduler", scheduler_words(model));
  fact("kernel", kernel_release(model));
  fact("machine", r.accelerator ? r.accelerator->name + ": " + r.accelerator->reason : "");
  fact("VM", vm.boot.how_it_began());
  fact("ktstr", r.tool_version);
  if (model.known())
    fact("seen before", fmt::format("{} times{}", model.known()->times,
                                    model.known()->since.empty() ? "" : ", since " + model.known()->since));
  out["facts"] = std::move(facts);
  const PageClock clock(vm, picture);
  out["phases"] = phases_json(vm, clock);
  if (brief) {
    out["brief"] = true;
    return for_script(json_text(out));
  }
  out["marks"] = marks_json(vm, clock);
  if (j.outcome != Outcome::Pass || vm.scheduler.crash)
    if (picture.exit_ns() != 0) out["exit_at"] = clock.of_guest(picture.exit_ns());
  if (vm.scheduler.crash) {
    out["crash"] = crash_json(*vm.scheduler.crash);
    if (!out.contains("exit_at") && vm.scenario_end) out["exit_at"] = clock.of(*vm.scenario_end);
  }
  out["series"] = series_json(picture.samples(), picture.metrics(), clock);
  out["logs"] = logs_json(picture, clock);
  out["logs_left_out"] = picture.logs_left_out();
  json frozen = json::array();
  const int named = named_pid(vm);
  if (vm.monitor.frozen) frozen.push_back(frozen_json(*vm.monitor.frozen, named));
  if (vm.monitor.early)
    frozen.push_back(frozen_json(*vm.monitor.early, named ? named : vm.monitor.early->early_pid));
  out["frozen"] = std::move(frozen);
  if (model.repro_finished()) out["chain"] = chain_json(model, *model.repro_finished());
  if (model.repro_declined()) out["declined"] = printable(*model.repro_declined());
  return for_script(json_text(out));
}

}  // namespace ktstr
