#include "reporter/boot_record.h"

#include "base/text.h"
#include "schemas/unpack.h"

namespace ktstr {

void BootRecord::reach(Stage s) {
  if (s > Stage::GuestFinished) return;  // no such stage: the guest is not trusted
  if (s == Stage::WorkloadStarted) workload_started = true;
  if (s == Stage::WorkloadFinished) workload_finished = true;
  if (s > stage) stage = s;
}

void BootRecord::fold(const EventBuffer& event) {
  switch (event.type()) {
    case Payload::VmStarted:
      started = true;
      attempt = event->stamp()->attempt();
      facts = unpack<VmStartedT>(*event.as<VmStarted>());
      return;
    case Payload::VmExited:
      exited = unpack<VmExitedT>(*event.as<VmExited>());
      if (exited->last_stage > stage) stage = exited->last_stage;
      return;
    case Payload::GuestMemoryDumped:
      dump = unpack<GuestMemoryDumpedT>(*event.as<GuestMemoryDumped>());
      return;
    case Payload::VmSettled:
      settled = true;
      if (auto* list = event.as<VmSettled>()->missing())
        for (const auto* who : *list) missing.push_back(who->str());
      return;
    case Payload::ConsoleLine:
      return reach(Stage::KernelStarted);
    case Payload::GuestHello:
      if (!hello) hello_ns = event->stamp()->host_ns();
      hello = unpack<GuestHelloT>(*event.as<GuestHello>());
      return reach(Stage::InitStarted);
    case Payload::StageReached:
      return reach(event.as<StageReached>()->stage());
    case Payload::SchedulerStarted:
      return reach(Stage::SchedulerStarted);
    case Payload::SchedulerAttached:
      return reach(Stage::SchedulerAttached);
    case Payload::GuestFailed:
      if (!failed) failed = unpack<GuestFailedT>(*event.as<GuestFailed>());
      return;
    case Payload::GuestFinished:
      finished = unpack<GuestFinishedT>(*event.as<GuestFinished>());
      return reach(Stage::GuestFinished);
    case Payload::CollectorDrained:
      drained = unpack<CollectorDrainedT>(*event.as<CollectorDrained>());
      return;
    default:
      return;
  }
}

std::string BootRecord::how_it_began() const {
  if (!started || facts.began_ns == 0) return "";
  const std::string time =
      hello_ns > facts.began_ns ? human_ns(hello_ns - facts.began_ns) : "its guest did not answer";
  if (!facts.gdb.empty()) return "cold boot, held for gdb (" + time + ")";
  if (!facts.template_.empty()) return "template (" + time + ")";
  return "cold boot (" + time + ")" + (facts.boot_note.empty() ? "" : ": " + facts.boot_note);
}

}  // namespace ktstr
