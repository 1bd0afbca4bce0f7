#include "reporter/head.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "reporter/sections.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxEvidence = 3;
constexpr size_t kMaxLine = 400;

std::string clipped(const std::string& text) {
  if (text.size() <= kMaxLine) return text;
  size_t end = kMaxLine;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

// "1.204 s after the workload's start, in phase \"crowd\"; 4 CPUs (1 LLC), kernel 7.3.4"
std::string when(const RunModel& model) {
  const VmRecord& vm = model.primary();
  std::string text;
  if (const PhaseRecord* workload = vm.timeline.find("workload"); workload && vm.scenario_end) {
    text = fmt::format("{} after the workload's start", human_ns(scenario_ns(model)));
    const PhaseRecord* in = nullptr;
    for (const PhaseRecord& phase : vm.timeline.phases())
      if (phase.name != "workload" && phase.name != "teardown" && phase.name != "after the exit" &&
          between(phase.start, *vm.scenario_end) >= 0 &&
          (!phase.end || between(*phase.end, *vm.scenario_end) <= 0) &&
          between(workload->start, phase.start) >= 0)
        in = &phase;
    if (in) text += fmt::format(", in phase \"{}\"", in->name);
  } else if (!workload) {
    text = vm.scheduler.attached ? "before the workload's start" : "before the scheduler was attached";
  } else {
    return {};
  }
  const TopologyT& t = *model.spec().topology;
  auto of = [](uint32_t n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); };
  return fmt::format("{}; {} ({} x {} x {}), kernel {}", text, of(cpu_count(model.spec()), "CPU"),
                     of(t.llcs, "LLC"), of(t.cores, "core"), of(t.threads, "thread"), kernel_release(model));
}

}  // namespace

std::vector<std::string> head_lines(const RunModel& model, const Judgement& j) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < std::min(j.evidence.size(), kMaxEvidence); ++i)
    lines.push_back("evidence:  " + clipped(j.evidence[i]));
  if (!needs_diagnostics(j.kind)) return lines;
  if (const std::string text = when(model); !text.empty()) lines.push_back("when:      " + text);
  if (const VmRecord& vm = model.primary(); vm.scenario_end && vm.timeline.find("workload"))
    if (const std::string text = vm.actions.before(*vm.scenario_end); !text.empty())
      lines.push_back("test did:  " + clipped(text));
  if (!j.signature.empty()) {
    std::string seen;
    if (const auto& known = model.known(); known && known->signature == j.signature)
      seen = fmt::format("; seen {} {} before{}{}", known->times, known->times == 1 ? "time" : "times",
                         known->since.empty() ? "" : ", since " + known->since,
                         known->first.empty() ? "" : ", first in " + known->first);
    lines.push_back("signature: " + clipped(j.signature) + seen);
  }
  if (!j.advice.empty()) lines.push_back("fix:       " + j.advice);
  return lines;
}

}  // namespace ktstr
