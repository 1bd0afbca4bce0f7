#include "reporter/monitor_record.h"

#include <algorithm>

#include "schemas/unpack.h"

namespace ktstr {
namespace {

constexpr size_t kMaxWrites = 1024, kMaxObserved = 64;

}  // namespace

const GuestFrozenT* MonitorRecord::early_of_end() const {
  // The exit is seen, and the VM paused, up to a second after the abort.
  constexpr uint64_t kSlack = 2'000'000'000;
  if (!early) return nullptr;
  if (!frozen) return &*early;
  const auto longest = waits.find(0);
  const uint64_t span = std::max(longest ? longest->wait_ns : 0, early->early_wait_ns) + kSlack;
  return between(early_at_, frozen_at_) <= static_cast<int64_t>(span) ? &*early : nullptr;
}

std::optional<MonitorSummary::Load> MonitorRecord::fold(const EventBuffer& event, bool in_workload) {
  const uint64_t host_ns = event->stamp()->host_ns();
  switch (event.type()) {
    case Payload::MonitorSample:
      waits.fold(*event.as<MonitorSample>(), host_ns);
      clock.at(event.as<MonitorSample>()->guest_clock_ns(), host_ns);
      return summary.fold(*event.as<MonitorSample>(), host_ns, in_workload);
    case Payload::MonitorStopped:
      stopped = unpack<MonitorStoppedT>(*event.as<MonitorStopped>());
      summary.fold(*event.as<MonitorStopped>(), host_ns);
      return {};
    case Payload::MonitorAttached:
      attached = true;
      if (auto* list = event.as<MonitorAttached>()->absent())
        for (const auto* fact : *list) absent.push_back(fact->str());
      return {};
    case Payload::MonitorUnavailable:
      unavailable = std::string(str(event.as<MonitorUnavailable>()->reason()));
      return {};
    case Payload::GuestFrozen: {
      auto seen = unpack<GuestFrozenT>(*event.as<GuestFrozen>());
      if (seen.observed) {
        if (observed.size() < kMaxObserved) observed.push_back(std::move(seen));
      } else if (!seen.early) {
        frozen = std::move(seen);
        frozen_at_ = Moment::of(event);
      } else if (!early || early->early_wait_ns <= seen.early_wait_ns) {
        early = std::move(seen);
        early_at_ = Moment::of(event);
      }
      return {};
    }
    case Payload::MapWritten:
      if (map_writes.size() < kMaxWrites) map_writes.push_back(unpack<MapWrittenT>(*event.as<MapWritten>()));
      return {};
    case Payload::WatchdogSet:
      watchdog = unpack<WatchdogSetT>(*event.as<WatchdogSet>());
      return {};
    default:
      return {};
  }
}

}  // namespace ktstr
