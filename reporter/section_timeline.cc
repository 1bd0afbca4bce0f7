// `--- timeline ---`.
#include <algorithm>

#include "base/text.h"
#include "base/wording.h"
#include "reporter/names.h"
#include "reporter/sections.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

std::string topology(const TestSpecT& spec) {
  const TopologyT& t = *spec.topology;
  return fmt::format("{}, {}, {} per LLC, {} per core: {}", count_of(t.numa_nodes, "NUMA node"),
                     count_of(t.llcs, "LLC"), count_of(t.cores, "core"), count_of(t.threads, "thread"),
                     count_of(cpu_count(spec), "CPU"));
}

// To the millisecond; what rounds to zero has no sign of its own.
std::string offset(int64_t ns) {
  return ns > -500'000 && ns < 500'000 ? "+0.000 s" : fmt::format("{:+.3f} s", static_cast<double>(ns) / 1e9);
}

// What the command line put on top of the spec: this VM is not the one that the spec describes.
std::string added_words(const RunStartedT& run) {
  std::string text;
  auto add = [&](const char* option, const std::vector<std::string>& words) {
    if (!words.empty())
      text += fmt::format("{}{} {}", text.empty() ? "" : "; ", option, fmt::join(words, " "));
  };
  add("--qemu-arg", run.qemu_args);
  add("--kernel-arg", run.kernel_args);
  return text;
}

void memory_dump(const VmRecord& vm, const char* title, Page& page) {
  if (!vm.boot.dump) return;
  const GuestMemoryDumpedT& dump = *vm.boot.dump;
  if (!dump.error.empty())
    page.linef("{}not kept: {} ({})", title, dump.error, dump.reason);
  else
    page.linef("{}{} ({} MiB, {} MiB on the disk): {}", title, dump.path, dump.bytes >> 20,
               dump.disk_bytes >> 20, dump.reason);
}

void phases(const VmRecord& vm, Page& page) {
  const auto& all = vm.timeline.phases();
  if (all.empty()) return;
  page.line("phases, with the monitor's samples in each:");
  Table table({"phase", "start", "length", "samples", "imbalance avg/max", "nr_running/cpu",
               "local DSQ/cpu avg/max"});
  for (const PhaseRecord& p : all) {
    const LoadAverage& l = p.load;
    bool any = l.samples > 0;
    table.row({p.name, offset(between(vm.timeline.origin(), p.start)),
               p.end ? human_ns(static_cast<uint64_t>(std::max<int64_t>(between(p.start, *p.end), 0)))
                     : "not ended",
               std::to_string(p.samples),
               any ? fmt::format("{:.2f} / {:.2f}", l.mean(l.imbalance_sum), l.imbalance_max) : "-",
               any ? fmt::format("{:.2f}", l.mean(l.nr_running_sum)) : "-",
               any ? fmt::format("{:.2f} / {}", l.mean(l.dsq_sum), l.dsq_max) : "-"});
  }
  table.print(page);
  if (vm.timeline.phases_left_out()) page.linef("  … ({} phases left out) …", vm.timeline.phases_left_out());
}

void metrics(const RunModel& model, Page& page) {
  const MetricsRecord& record = model.metrics();
  if (record.series().empty()) return;
  page.line("metrics of collectors:");
  Table table({"series", "values", "first", "min", "avg", "max", "max at", "last"});
  auto number = [](double value) { return fmt::format("{:.6g}", value); };
  for (const auto& [name, s] : record.series())
    table.row({name, std::to_string(s.values), number(s.first), number(s.least),
               number(s.sum / static_cast<double>(s.values)), number(s.most),
               offset(between(model.primary().timeline.origin(), s.most_at)), number(s.last)});
  table.print(page);
  if (record.left_out()) page.linef("  … ({} values of further series left out) …", record.left_out());
}

}  // namespace

std::string kernel_release(const RunModel& model) {
  if (model.primary().boot.hello) return model.primary().boot.hello->kernel_release;
  return model.run().kernel ? model.run().kernel->release : "unknown kernel";
}

std::string scheduler_words(const RunModel& model) {
  const auto& scheduler = model.spec().scheduler;
  if (!scheduler) return "none (the kernel's own)";
  std::string words = scheduler->binary;
  for (const std::string& arg : scheduler->args) words += " " + arg;
  return fmt::format("{} ({})", scheduler->name, words);
}

unsigned cpu_count(const TestSpecT& spec) {
  return spec.topology->llcs * spec.topology->cores * spec.topology->threads;
}

uint64_t scenario_ns(const RunModel& model) {
  const VmRecord& vm = model.primary();
  const PhaseRecord* workload = vm.timeline.find("workload");
  if (!workload) return 0;
  // Steps are phases within it.
  const std::optional<Moment>& end = vm.scenario_end ? vm.scenario_end : workload->end;
  return end ? static_cast<uint64_t>(std::max<int64_t>(between(workload->start, *end), 0)) : 0;
}

std::string determinism_words(const RunModel& model) {
  const DeterminismT& d = *model.run().determinism;
  std::string text =
      fmt::format("deterministic, seed {}: stream {}", d.seed, model.stream_hash().substr(0, 12));
  if (d.seed != 0) text += fmt::format(" (perturbed: {})", d.strategy);
  return text;
}

void timeline_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (!vm.boot.started) return;
  const RunStartedT& run = model.run();
  page.title("timeline");
  page.linef("kernel:     {}{}", kernel_release(model),
             run.kernel && !run.kernel->origin.empty() ? " (" + run.kernel->origin + ")" : "");
  page.linef("topology:   {}; {} MB", topology(*run.spec), run.spec->memory_mb);
  page.linef("scheduler:  {}{}", scheduler_words(model),
             vm.scheduler.attached && !vm.scheduler.attached->ops_name.empty()
                 ? fmt::format(", as \"{}\", attached in {}", vm.scheduler.attached->ops_name,
                               human_ns(vm.scheduler.attached->elapsed_ns))
                 : "");
  if (const auto& scheduler = run.spec->scheduler; scheduler && !scheduler->chosen_by.empty())
    page.linef("binary:     {}, named by {}", scheduler->binary, scheduler->chosen_by);
  if (run.accelerator) page.linef("machine:    {}: {}", run.accelerator->name, run.accelerator->reason);
  if (const std::string begun = vm.boot.how_it_began(); !begun.empty() && !run.determinism) {
    const std::string again = model.repro() ? model.repro()->boot.how_it_began() : "";
    page.linef("vm:         {}{}", begun, again.empty() ? "" : "; repro VM: " + again);
  }
  memory_dump(vm, "memory:     ", page);
  if (model.repro()) memory_dump(*model.repro(), "memory:     repro VM: ", page);
  if (const std::string words = added_words(run); !words.empty()) page.line("added:      " + words);
  if (run.determinism) page.line("course:     " + determinism_words(model));
  if (run.determinism)
    page.linef("deadlines:  scaled by {:.2f}, in guest time", static_cast<double>(run.time_scale));
  else if (run.time_scale != 1.0f || (run.host && run.host->speed > 0))
    page.linef("deadlines:  scaled by {:.2f}{}", static_cast<double>(run.time_scale),
               run.host && run.host->speed > 0
                   ? fmt::format("; this host's speed is {:.2f} ({})", static_cast<double>(run.host->speed),
                                 run.host->speed_note)
                   : "");
  const PhaseRecord* workload = vm.timeline.find("workload");
  if (!workload)
    page.linef("scenario:   did not start (asked for {})", human_ns(run.spec->duration_ns));
  else if (!workload->end && !vm.scenario_end)
    page.linef("scenario:   did not end (asked for {})", human_ns(run.spec->duration_ns));
  else
    page.linef("scenario:   {} of {}", human_ns(scenario_ns(model)), human_ns(run.spec->duration_ns));
  phases(vm, page);
  metrics(model, page);
  auto marks = vm.timeline.marks();
  if (marks.empty()) return;
  page.line("events:");
  for (const Mark& mark : marks) {
    page.linef("  {:>10}  {}{}", offset(between(vm.timeline.origin(), mark.at)),
               mark.source.empty() ? "" : "[" + mark.source + "] ", mark.text);
  }
  if (vm.timeline.marks_left_out()) page.linef("  … ({} lines left out) …", vm.timeline.marks_left_out());
}

}  // namespace ktstr
