#include "reproer/vm_facts.h"

#include <algorithm>

#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/unpack.h"
#include "schemas/workload_generated.h"
#include "scx/crash_signature.h"
#include "scx/hotplug_exit.h"

namespace ktstr {
namespace {

constexpr size_t kMaxHits = 20000;
constexpr size_t kMaxPrograms = 1024;
constexpr size_t kMaxBtfs = 256;
constexpr size_t kMaxStored = 256u << 20;  // a guest may send as much as it likes

}  // namespace

bool VmFacts::room(const EventBuffer& event) {
  if (stored_bytes + event.bytes().size() > kMaxStored) return false;
  stored_bytes += event.bytes().size();
  return true;
}

void VmFacts::fold(const EventBuffer& event) {
  switch (event.type()) {
    case Payload::StageReached:
      if (event.as<StageReached>()->stage() != Stage::GuestFinished)  // reached whatever went before
        stage = std::max(stage, event.as<StageReached>()->stage());
      workload_started |= event.as<StageReached>()->stage() == Stage::WorkloadStarted;
      return;
    case Payload::GuestHello:
      stage = std::max(stage, Stage::InitStarted);
      return;
    case Payload::SchedulerLine:
      left_at_hotplug |= parse_hotplug_exit(str(event.as<SchedulerLine>()->text())).has_value();
      return;
    case Payload::SchedulerAttached:
      left_at_hotplug = false;
      stage = std::max(stage, Stage::SchedulerAttached);
      return;
    case Payload::GuestFailed:
      if (failure.empty()) failure = str(event.as<GuestFailed>()->error());
      return;
    case Payload::CrashDetected: {
      auto seen = unpack<CrashDetectedT>(*event.as<CrashDetected>());
      const bool better =
          crash && crash->kind != CrashKind::SchedExtExit && seen.kind == CrashKind::SchedExtExit;
      if (!crash || better) crash = std::move(seen);
      return;
    }
    case Payload::SchedulerExited:
      scheduler_exit = unpack<SchedulerExitedT>(*event.as<SchedulerExited>());
      return;
    case Payload::VmExited:
      exited = unpack<VmExitedT>(*event.as<VmExited>());
      return;
    case Payload::WorkerReport: {
      const auto* w = event.as<WorkerReport>();
      if (w->wall_ns())
        work_rate += static_cast<double>(w->iterations()) * 1e9 / static_cast<double>(w->wall_ns());
      return;
    }
    case Payload::BpfProgram:
      if (programs.size() < kMaxPrograms && room(event))
        programs.push_back(unpack<BpfProgramT>(*event.as<BpfProgram>()));
      return;
    case Payload::BpfBtf: {
      const auto* b = event.as<BpfBtf>();
      if (btfs.size() < kMaxBtfs && b->data() && room(event))
        btfs[b->id()].assign(b->data()->begin(), b->data()->end());
      return;
    }
    case Payload::ProbeAttached:
      attached = unpack<ProbeAttachedT>(*event.as<ProbeAttached>());
      return;
    case Payload::ProbeTriggered:
      trigger = unpack<ProbeTriggeredT>(*event.as<ProbeTriggered>());
      return;
    case Payload::ProbeFinished:
      finished = unpack<ProbeFinishedT>(*event.as<ProbeFinished>());
      return;
    case Payload::ProbeHit:
      if (hits.size() < kMaxHits && room(event))
        hits.push_back(unpack<ProbeHitT>(*event.as<ProbeHit>()));
      else
        ++hits_refused;
      return;
    default:
      return;
  }
}

ProgramTypes VmFacts::program_types() const {
  ProgramTypes out;
  for (const auto& [id, bytes] : btfs)
    if (auto view = BtfView::from_bytes(bytes)) out.emplace(id, std::move(*view));
  return out;
}

uint64_t VmFacts::last_hit_ns() const {
  uint64_t last = 0;
  for (const ProbeHitT& h : hits) last = std::max(last, h.ns);
  return last;
}

std::string VmFacts::signature() const {
  if (crash) return crash_signature(*crash);
  if (!scheduler_died()) return {};
  std::string out = "scheduler process ";
  out += scheduler_exit->signal ? "killed by signal " + std::to_string(scheduler_exit->signal)
                                : "ended by itself, exit code " + std::to_string(scheduler_exit->exit_code);
  if (!scheduler_exit->attached) out += ", never attached";
  size_t n = 0;
  for (const std::string& frame : scheduler_exit->core_frames) {
    if (n == 3) break;
    std::string name = frame.substr(0, frame.find('+'));
    out += (n++ ? " < " : " @ ") + name;
  }
  return out;
}

}  // namespace ktstr
