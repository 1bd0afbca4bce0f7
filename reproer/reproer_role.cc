#include "reproer/reproer_role.h"

#include <fcntl.h>

#include "base/log.h"
#include "bpf/hits.h"
#include "reproer/kernel_loader.h"
#include "reproer/ram_rings.h"
#include "schemas/event_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

void log_answer(const Reproer::Answer& answer) {
  if (auto* request = std::get_if<ReproRequestedT>(&answer))
    log_info("plan for repro VM " + std::to_string(request->attempt) + ": " +
             std::to_string(request->plan->targets.size()) + " functions probed");
  else if (auto* declined = std::get_if<ReproDeclinedT>(&answer))
    log_info(std::string("no repro VM: ") + EnumNameDeclineCause(declined->cause));
  else if (auto* finished = std::get_if<ReproFinishedT>(&answer))
    log_info("verdict: " + finished->detail);
}

}  // namespace

ReproerRole::ReproerRole() : reproer_(load_kernel) {}

void ReproerRole::on_event(const EventBuffer& event, Context& context) {
  if (event.vm() == Vm::Repro) {
    if (auto* started = event.as<VmStarted>()) open_memory(*started);
    if (event.type() == Payload::VmSettled) tell_from_memory(context, event->stamp()->attempt());
  }
  if (auto answer = reproer_.on_event(event)) {
    log_answer(*answer);
    std::visit([&](auto&& payload) { context.publish(std::move(payload)); }, std::move(*answer));
  }
}

void ReproerRole::open_memory(const VmStarted& vm) {
  const std::string path(str(vm.ram_path()));
  ram_ = UniqueFd(path.empty() ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// The log must hold what the report shows: the hits go out as the guest would have sent them.
void ReproerRole::tell_from_memory(Context& context, uint8_t attempt) {
  const UniqueFd ram = std::move(ram_);
  const ProbePlanT* plan = reproer_.untold();
  if (!plan || !ram) return;
  auto capture = read_rings(ram.get(), plan->targets.size());
  if (!capture) return log_info("rings of the repro VM: " + capture.error().to_string());
  probe::Selection selection;
  selection.history = plan->history;
  std::vector<ProbeHitT> hits;
  const std::vector<probe::ReadPlan> reads = probe::plan_all_reads(*plan);
  for (size_t i : probe::select_hits(*capture, plan->targets.size(), selection)) {
    const ktstr_hit& hit = capture->hits[i];
    hits.push_back(probe::to_event(hit, *plan->targets[hit.target], reads[hit.target], i + 1));
    context.publish(ProbeHitT(hits.back()), Vm::Repro, attempt, hit.ns);
  }
  std::optional<ProbeTriggeredT> trigger;
  if (capture->state.complete) {
    trigger = probe::to_event(capture->state);
    context.publish(ProbeTriggeredT(*trigger), Vm::Repro, attempt, trigger->ns);
  }
  reproer_.on_rings(std::move(hits), std::move(trigger));
}

}  // namespace ktstr
