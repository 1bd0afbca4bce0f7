// `--- monitor ---`.
#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "base/text.h"
#include "reporter/monitor_checks.h"
#include "reporter/sections.h"
#include "reporter/wait_cause.h"
#include "schemas/monitor_generated.h"
#include "scx/stall.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

// Shown even when zero, with the short names that both seeds use; every other counter only when it moved.
struct NamedCounter {
  const char* kernel;
  const char* alias;
  bool rate;
};
constexpr std::array kAlways = {NamedCounter{"SELECT_CPU_FALLBACK", "fallback", true},
                                NamedCounter{"DISPATCH_KEEP_LAST", "keep_last", true},
                                NamedCounter{"DISPATCH_LOCAL_DSQ_OFFLINE", "offline", false},
                                NamedCounter{"ENQ_SKIP_EXITING", "", false},
                                NamedCounter{"ENQ_SKIP_MIGRATION_DISABLED", "", false}};

// A rate takes two looks at the counter.
std::string rate_text(const MonitorSummary& m, const CounterTrack& track) {
  return m.seconds() > 0 ? fmt::format("{:.1f}", m.rate(track)) : "-";
}

void counters(const MonitorSummary& m, Page& page) {
  if (m.counters().empty()) {
    page.line("event counters: none were seen (no scheduler was sampled, or this kernel keeps none)");
    return;
  }
  page.line("event counters:");
  Table table({"event", "count", "per second"});
  for (const NamedCounter& named : kAlways) {
    auto it = m.counters().find(named.kernel);
    std::string name = lower(named.kernel);
    if (*named.alias) name += fmt::format(" ({})", named.alias);
    if (it == m.counters().end()) {
      table.row({name, "absent on this kernel", ""});
      continue;
    }
    const CounterTrack& track = it->second;
    table.row({name, std::to_string(track.total()), named.rate ? rate_text(m, track) : ""});
  }
  for (const auto& [name, track] : m.counters()) {
    bool always =
        std::any_of(kAlways.begin(), kAlways.end(), [&](const NamedCounter& n) { return name == n.kernel; });
    if (always || track.total() == 0) continue;
    bool time = name.ends_with("DURATION");
    table.row({lower(name),
               time ? human_ns(static_cast<uint64_t>(std::max<int64_t>(track.total(), 0)))
                    : std::to_string(track.total()),
               time ? "" : rate_text(m, track)});
  }
  table.print(page);
}

// Balancing counters are per idle type ("lb_count.idle"): a row for each type, a column for each counter
// that moved.
void domains(const MonitorSummary& m, Page& page) {
  if (m.domains().empty()) return;
  const double seconds = m.domain_seconds();
  page.linef("load balancing per sched_domain ({}summed over CPUs):",
             seconds > 0 ? "per second, " : "one sample only, ");
  for (const auto& [key, use] : m.domains()) {
    std::map<std::string, std::map<std::string, std::string>> rows;  // idle type -> counter -> text
    std::set<std::string> columns;
    std::string others;
    for (const auto& [name, track] : use.counters) {
      if (track.delta() == 0 || seconds <= 0) continue;
      std::string rate = fmt::format("{:.1f}", static_cast<double>(track.delta()) / seconds);
      size_t dot = name.find('.');
      if (dot == name.npos) {
        others += fmt::format("  {} {}", name, rate);
      } else {
        rows[name.substr(dot + 1)][name.substr(0, dot)] = rate;
        columns.insert(name.substr(0, dot));
      }
    }
    for (const auto& [name, value] : use.gauges) others += fmt::format("  {} {}", name, value);
    page.linef("  {} {}{}:{}", key.first, key.second, use.span.empty() ? "" : " of CPUs " + use.span,
               rows.empty() && others.empty() ? "  no activity" : others);
    if (rows.empty()) continue;
    std::vector<std::string> header = {"idle type"};
    header.insert(header.end(), columns.begin(), columns.end());
    Table table(header);
    for (const auto& [type, values] : rows) {
      std::vector<std::string> cells = {type};
      for (const std::string& column : columns) {
        auto it = values.find(column);
        cells.push_back(it == values.end() ? "0" : it->second);
      }
      table.row(cells);
    }
    table.print(page, "    ");
  }
}

void schedstats(const MonitorSummary& m, Page& page) {
  if (m.schedstat_looks() < 2) return;
  std::string text;
  for (const auto& [name, track] : m.schedstats()) {
    int64_t d = std::max<int64_t>(track.delta(), 0);
    text += fmt::format("  {} {}", name,
                        name.ends_with("_ns") ? human_ns(static_cast<uint64_t>(d)) : std::to_string(d));
  }
  page.linef("schedstat deltas:{}", text);
}

void programs(const MonitorSummary& m, Page& page) {
  if (m.programs().empty()) return;
  page.line("BPF programs:");
  Table table({"program", "verified_insns", "jited bytes", "calls", "ns/call", "missed"});
  for (const auto& [id, use] : m.programs()) {
    table.row({use.name, std::to_string(use.verified_insns), std::to_string(use.jited_bytes),
               std::to_string(use.run_count),
               use.run_count ? std::to_string(use.run_ns / use.run_count) : "-",
               use.misses ? std::to_string(use.misses) : ""});
  }
  table.print(page);
}

void queues(const MonitorSummary& m, Page& page) {
  std::string text;
  size_t shown = 0;
  for (const auto& [key, depth] : m.dsqs()) {
    if (depth == 0) continue;
    if (++shown > 16) continue;
    auto [kind, id, place] = key;
    text += fmt::format("  {}: {}", dsq_name(id, kind, place), depth);
  }
  if (shown)
    page.linef("deepest DSQs:{}{}", text, shown > 16 ? fmt::format("  and {} more", shown - 16) : "");
}

void vcpus(const MonitorSummary& m, Page& page) {
  for (const auto& [tid, use] : m.vcpus()) {
    if (use.run_last == use.run_first) continue;  // seen once: nothing to compare
    page.linef("host thread \"{}\": ran {}, waited {} for a host CPU", use.name,
               human_ns(use.run_last - use.run_first), human_ns(use.wait_last - use.wait_first));
  }
}

// Only for a stall, or a CPU that seemed stuck.
void attribution(const VmRecord& vm, Page& page) {
  const bool stalled = vm.scheduler.crash && is_stall(*vm.scheduler.crash);
  if (!stalled && !vm.monitor.summary.sustained(vm.monitor.summary.stuck())) return;
  auto wait = vm.monitor.waits.find(stalled ? vm.scheduler.crash->stall_task_pid : 0);
  const int pid = wait ? wait->pid : stalled ? vm.scheduler.crash->stall_task_pid : 0;
  if (pid <= 0) return page.line("cause of the wait: could not be evaluated: no sample saw the task waiting");
  const WaitCause cause = explain_wait(vm, pid);
  page.linef("cause of the wait: {}",
             cause.what == StallClass::kUnknown ? "the facts name none" : cause.summary);
  for (const std::string& line : cause.evidence) page.line("  " + line);
  if (!wait && cause.what == StallClass::kUnknown) page.line("  no sample saw the task waiting");
}

// One condition as a flag: yes only when it held as long as the threshold says.
std::string flag(const MonitorSummary& m, bool held) {
  if (!m.thresholds().any()) return "not checked";
  return held ? "yes" : m.ticks() < m.thresholds().sustained ? "not known" : "no";
}

std::string limits(const MonitorThresholds& t) {
  std::string text;
  const auto add = [&](bool on, std::string what) {
    if (on) text += (text.empty() ? "" : ", ") + what;
  };
  add(t.imbalance > 0, fmt::format("imbalance {:g}", t.imbalance));
  add(t.local_dsq > 0, fmt::format("local DSQ {}", t.local_dsq));
  add(t.fallback_rate > 0, fmt::format("fallback {:g}/s", t.fallback_rate));
  add(t.keep_last_rate > 0, fmt::format("keep_last {:g}/s (sched_yield not counted)", t.keep_last_rate));
  add(t.stuck, "stuck CPU");
  return text;
}

void verdict(const RunModel& model, const VmRecord& vm, Page& page) {
  const MonitorThresholds& t = vm.monitor.summary.thresholds();
  if (!t.any()) return page.line("verdict: no threshold is set");
  const MonitorFindings found = monitor_findings(vm);
  const char* reported = t.enforce ? "" : " (reported only: enforce = false)";
  if (!found.stuck.empty()) {
    page.line("verdict: a CPU was stuck");
    for (const std::string& text : found.stuck) page.line("  " + text);
    for (const std::string& text : found.exceeded) page.line("  " + text + reported);
  } else if (!found.exceeded.empty()) {
    const bool emulated = model.run().accelerator && model.run().accelerator->name != "kvm";
    page.linef("verdict: {} exceeded{}{}", found.exceeded.size() == 1 ? "a threshold was" : "thresholds were",
               reported, emulated ? "; emulated CPUs share one host thread, judge with care" : "");
    for (const std::string& text : found.exceeded) page.line("  " + text);
  } else if (found.unknown.empty()) {
    page.linef("verdict: ok: nothing above {} for {} samples in a row", limits(t), t.sustained);
  } else {
    page.linef("verdict: could not be evaluated{}: {}", reported, found.unknown.front());
  }
  if (!found.exceeded.empty() || found.unknown.size() > 1)
    for (size_t i = found.exceeded.empty() ? 1 : 0; i < found.unknown.size(); ++i)
      page.line("  could not be evaluated: " + found.unknown[i]);
}

// What the spec told the monitor to change.
void changes(const VmRecord& vm, Page& page) {
  for (const MapWrittenT& write : vm.monitor.map_writes) {
    const std::string what = write.map + (write.field.empty() ? "" : " " + write.field);
    page.linef("map write {}: {}", what,
               write.error.empty() ? write.before + " -> " + write.after : "not done: " + write.error);
  }
  if (!vm.monitor.watchdog) return;
  if (!vm.monitor.watchdog->error.empty())
    page.linef("watchdog timeout: not changed: {}", vm.monitor.watchdog->error);
  else
    page.linef("watchdog timeout: {} -> {}", human_ns(vm.monitor.watchdog->before_ns),
               human_ns(vm.monitor.watchdog->after_ns));
}

void maps(const MonitorSummary& m, Page& page) {
  std::string text;
  size_t shown = 0;
  for (const auto& [id, map] : m.maps()) {
    if (++shown > 16) continue;
    text += fmt::format("  {} {} x {} B", map.name, map.entries, map.key_bytes + map.value_bytes);
  }
  if (shown)
    page.linef("maps (entries x size):{}{}", text,
               shown > 16 ? fmt::format("  and {} more", shown - 16) : "");
}

}  // namespace

void monitor_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (!vm.boot.started) return;
  page.title("monitor");
  const MonitorSummary& m = vm.monitor.summary;
  if (m.samples() == 0) {
    std::string why = !vm.monitor.unavailable.empty()                             ? vm.monitor.unavailable
                      : vm.monitor.stopped && !vm.monitor.stopped->reason.empty() ? vm.monitor.stopped->reason
                      : vm.monitor.attached ? "attached, but no sample was taken"
                                            : "the monitor did not attach";
    page.linef("no samples: {}", why);
    changes(vm, page);
    frozen_part(vm, page);
    page.line("verdict: could not be evaluated");
    return;
  }
  const LoadAverage& l = m.load();
  page.linef("samples: {}, {} of them with the scheduler enabled, over {:.1f} s{}", m.samples(), l.samples,
             m.seconds(),
             vm.monitor.stopped && vm.monitor.stopped->failed
                 ? fmt::format("; {} failed", vm.monitor.stopped->failed)
                 : "");
  if (l.samples == 0) {
    page.line("no sample was taken while a scheduler was enabled: there is nothing to summarise");
    changes(vm, page);
    frozen_part(vm, page);
    page.line("verdict: could not be evaluated");
    return;
  }
  page.linef("max imbalance ratio: {:.2f}", l.imbalance_max);
  page.linef("max local DSQ depth: {}", l.dsq_max);
  page.linef("sustained violation: {}", flag(m, m.any_sustained()));
  page.linef("stuck CPU: {}{}", flag(m, m.sustained(m.stuck())),
             m.sustained(m.stuck()) ? fmt::format(" (CPU {})", m.stuck_cpu()) : "");
  page.linef("averages: imbalance {:.2f}, nr_running {:.2f} per cpu, local dsq {:.2f} per cpu",
             l.mean(l.imbalance_sum), l.mean(l.nr_running_sum), l.mean(l.dsq_sum));
  counters(m, page);
  domains(m, page);
  schedstats(m, page);
  queues(m, page);
  programs(m, page);
  maps(m, page);
  vcpus(m, page);
  changes(vm, page);
  frozen_part(vm, page);
  attribution(vm, page);
  if (!vm.monitor.absent.empty()) page.linef("absent on this kernel: {}", fmt::join(vm.monitor.absent, ", "));
  if (vm.monitor.stopped)
    for (const auto& part : vm.monitor.stopped->parts_failed)
      page.linef("samples without {}: {}", part->name, part->value);
  if (m.senseless_samples()) page.linef("samples that made no sense: {}", m.senseless_samples());
  verdict(model, vm, page);
}

}  // namespace ktstr
