#include "reporter/slow_callback.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace ktstr {

std::optional<SlowCallback> slow_callback(const VmRecord& vm) {
  constexpr uint64_t kSlowCallNs = 1'000'000, kFewestCalls = 5;
  constexpr double kShare = 0.2;
  const MonitorSummary& m = vm.monitor.summary;
  const double time_ns = m.seconds() * 1e9 * static_cast<double>(m.cpus());
  if (time_ns <= 0) return std::nullopt;
  std::optional<SlowCallback> slowest;
  for (const auto& [id, use] : m.programs()) {
    if (use.run_count < kFewestCalls || use.run_ns / use.run_count < kSlowCallNs) continue;
    const double share = static_cast<double>(use.run_ns) / time_ns;
    if (share < kShare || (slowest && share <= slowest->share)) continue;
    slowest = {use.name, "", use.run_count, use.run_ns / use.run_count, std::min(share, 1.0)};
    for (const CallbackFact& fact : vm.scheduler.callbacks)
      if (fact.name == use.name) slowest->member = fact.member;
  }
  return slowest;
}

std::string slow_words(const SlowCallback& slow) {
  const std::string who =
      slow.member.empty() ? slow.name : fmt::format("ops.{} ({})", slow.member, slow.name);
  return fmt::format("{} took {} a call: {} calls, {:.0f} % of all CPUs' time", who, human_ns(slow.mean_ns),
                     slow.calls, slow.share * 100);
}

}  // namespace ktstr
