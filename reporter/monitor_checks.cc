#include "reporter/monitor_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "reporter/sections.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr const char* kWayOut = "enforce = false only reports what the monitor finds";
constexpr const char* kStallWayOut = "fail_on_stall = false does not look for CPUs that are stuck";

// Why thresholds say nothing at all; empty: they do.
std::string no_evaluation(const VmRecord& vm) {
  const MonitorSummary& m = vm.monitor.summary;
  const MonitorThresholds& t = m.thresholds();
  for (const std::string& who : vm.boot.missing)
    if (who.starts_with("monitor")) return "the monitor was lost (" + who + ")";
  if (!vm.monitor.unavailable.empty())
    return "the monitor could not read the guest: " + vm.monitor.unavailable;
  if (!vm.monitor.attached) return "the monitor did not attach";
  if (m.ticks() >= t.sustained) return {};
  std::string why = fmt::format("{} intervals of {} ms between samples in the workload, {} are needed",
                                m.ticks(), t.tick_ns / 1'000'000, t.sustained);
  if (m.exempt_ticks())
    why += fmt::format("; in {} more intervals the host did not run the guest", m.exempt_ticks());
  return why;
}

std::string exceeded(const char* what, const Sustained& s, const std::string& limit, const char* unit,
                     const char* attribute) {
  return fmt::format("{} up to {:.1f}{}, above {}{} for {} samples in a row ({})", what, s.worst, unit, limit,
                     unit, s.longest, attribute);
}

std::string number(double value) { return fmt::format("{:g}", value); }

}  // namespace

MonitorFindings monitor_findings(const VmRecord& vm) {
  MonitorFindings out;
  const MonitorSummary& m = vm.monitor.summary;
  const MonitorThresholds& t = m.thresholds();
  if (!t.any()) return out;
  if (m.sustained(m.imbalance()))
    out.exceeded.push_back(
        exceeded("imbalance ratio", m.imbalance(), number(t.imbalance), "", "max_imbalance_ratio"));
  if (m.sustained(m.local_dsq()))
    out.exceeded.push_back(
        exceeded("local DSQ depth", m.local_dsq(), std::to_string(t.local_dsq), "", "max_local_dsq_depth"));
  if (m.sustained(m.fallback()))
    out.exceeded.push_back(
        exceeded("select_cpu_fallback", m.fallback(), number(t.fallback_rate), "/s", "max_fallback_rate"));
  if (m.sustained(m.keep_last()))
    out.exceeded.push_back(exceeded("dispatch_keep_last per CPU, while tasks waited,", m.keep_last(),
                                    number(t.keep_last_rate), "/s", "max_keep_last_rate"));
  if (t.stuck && m.sustained(m.stuck()))
    out.stuck.push_back(fmt::format(
        "run queue clock of busy CPU {} did not advance for {} samples in a row while the guest ran "
        "(fail_on_stall)",
        m.stuck_cpu(), m.stuck().longest));

  std::string none = no_evaluation(vm);
  if (!none.empty()) {
    out.unknown.push_back(std::move(none));
    return out;
  }
  const auto counter = [&](double limit, const char* kernel, const char* attribute) {
    if (limit > 0 && !m.counters().contains(kernel))
      out.unknown.push_back(
          fmt::format("this kernel keeps no SCX_EV_{} ({} = 0 switches the check off)", kernel, attribute));
  };
  counter(t.fallback_rate, "SELECT_CPU_FALLBACK", "max_fallback_rate");
  counter(t.keep_last_rate, "DISPATCH_KEEP_LAST", "max_keep_last_rate");
  return out;
}

CheckResults monitor_checks(const RunModel& model) {
  CheckResults out;
  const VmRecord& vm = model.primary();
  const TestSpecT& spec = model.spec();
  const MonitorThresholds& t = vm.monitor.summary.thresholds();
  MonitorFindings found = monitor_findings(vm);
  if (t.enforce)
    for (std::string& text : found.exceeded) out.violated.push_back("monitor: " + std::move(text));
  for (std::string& text : found.stuck) out.violated.push_back("monitor: " + std::move(text));
  // A run that should have failed and did not is judged by that. A workload may be over sooner than anything can last for
  // so many samples: then there was nothing to find.
  const bool too_short = vm.monitor.attached && scenario_ns(model) < t.sustained * t.tick_ns &&
                         (!spec.body.empty() || !t.enforce);
  if (!spec.expect_err && !too_short) {
    const char* way_out = t.enforce ? kWayOut : kStallWayOut;
    if (!t.enforce && (!t.stuck || t.sustained == 0)) found.unknown.clear();
    // Counters that a kernel lacks are of thresholds that `enforce` governs.
    if (!t.enforce && found.unknown.size() > 0 && no_evaluation(vm).empty()) found.unknown.clear();
    for (std::string& text : found.unknown)
      out.unknown.push_back("monitor's thresholds could not be evaluated: " + std::move(text) + "; " +
                            way_out);
  }
  for (size_t i = 0; i < spec.bpf_map_write.size(); ++i) {
    const MapWriteT& wanted = *spec.bpf_map_write[i];
    const std::string what =
        fmt::format("bpf_map_write {}{}{} ({}:{})", wanted.map, wanted.field.empty() ? "" : " ", wanted.field,
                    spec.file, wanted.line);
    auto said = std::find_if(vm.monitor.map_writes.begin(), vm.monitor.map_writes.end(),
                             [&](const MapWrittenT& w) { return w.index == i; });
    if (said == vm.monitor.map_writes.end())
      out.unknown.push_back(what + ": not written: the monitor reported no result");
    else if (!said->error.empty())
      out.unknown.push_back(what + ": not written: " + said->error);
  }
  if (spec.scheduler && spec.watchdog_timeout_ns != 0) {
    if (!vm.monitor.watchdog)
      out.unknown.push_back("watchdog_timeout_s: not set: the monitor reported no result");
    else if (!vm.monitor.watchdog->error.empty())
      out.unknown.push_back("watchdog_timeout_s: not set: " + vm.monitor.watchdog->error);
  }
  return out;
}

}  // namespace ktstr
