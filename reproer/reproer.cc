#include "reproer/reproer.h"

#include <algorithm>

#include "reproer/stitch.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/limits.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr uint32_t kArtefactRetries = 2;

ReproDeclinedT declined(DeclineCause cause) {
  ReproDeclinedT d;
  d.cause = cause;
  return d;
}

unsigned vcpus(const TestSpecT& spec) {
  if (!spec.topology) return 1;
  const TopologyT& t = *spec.topology;
  return std::clamp(t.llcs * t.cores * t.threads, 1u, 4096u);
}

// How much slower the same workers went round under probes.
float slowdown(const VmFacts& primary, const VmFacts& repro) {
  if (!repro.attached || repro.attached->attached.empty() || primary.work_rate <= 0 || repro.work_rate <= 0)
    return 0;
  return static_cast<float>(std::max(1.0, primary.work_rate / repro.work_rate));
}

ProbePlanT copy(const ProbePlanT& plan) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(ProbePlan::Pack(builder, &plan));
  ProbePlanT out;
  flatbuffers::GetRoot<ProbePlan>(builder.GetBufferPointer())->UnPackTo(&out);
  return out;
}

}  // namespace

std::optional<Reproer::Answer> Reproer::on_event(const EventBuffer& event) {
  if (auto* started = event.as<RunStarted>()) {
    started->UnPackTo(&run_);
    PinPatterns pins = run_.spec ? pins_of(*run_.spec) : PinPatterns{};
    corpus_ = PinCorpus(pins.any());
    if (pins.any())
      if (auto pin = ErrorPin::compile(std::move(pins))) pin_ = std::move(*pin);
    return std::nullopt;
  }
  if (event.vm() == Vm::Primary) {
    primary_.fold(event);
    corpus_.fold(event);
    const auto* frozen = event.as<GuestFrozen>();
    if (frozen && !frozen->early() && run_.spec && run_.spec->auto_repro && !run_.spec->expect_err)
      (void)kernel();
  }
  if (event.vm() == Vm::Repro && event->stamp()->attempt() == attempt_) repro_.fold(event);
  if (event.type() != Payload::VmSettled) return std::nullopt;
  if (event.vm() == Vm::Primary) return on_primary_settled();
  if (event.vm() == Vm::Repro && attempt_ > 0) return on_repro_settled();
  return std::nullopt;
}

// A regression test that found its pinned crash again: nothing to investigate.
bool Reproer::expected_crash() const {
  if (!run_.spec->expect_err || !primary_.crash || !primary_.workload_started) return false;
  if (primary_.crash->kind != CrashKind::SchedExtExit || !primary_.crash->artefact.empty()) return false;
  if (!pins_of(*run_.spec).any()) return true;
  return pin_ && !corpus_.cut() && pin_->check(corpus_.text(), true).matched();
}

Reproer::Answer Reproer::on_primary_settled() {
  if (!run_.spec) return declined(DeclineCause::SpecUnknown);
  if (!primary_.crash && !primary_.scheduler_died()) return declined(DeclineCause::NoCrash);
  if (!run_.spec->auto_repro) return declined(DeclineCause::SwitchedOff);
  if (expected_crash()) return declined(DeclineCause::ExpectedCrash);
  if (!run_.spec->scheduler) return declined(DeclineCause::NoScheduler);
  // Without a crash that the kernel described there is nothing to go by but the workload, and it never ran.
  const bool described = primary_.crash && !primary_.crash->backtrace.empty();
  if (!primary_.workload_started && !described) {
    ReproFinishedT f;
    f.status = ReproStatus::PrimaryDidNotReachWorkload;
    f.last_stage = primary_.stage;
    f.signature_primary = primary_.signature();
    return f;
  }
  return request();
}

const KernelKnowledge& Reproer::kernel() {
  if (!kernel_) kernel_ = run_.kernel ? load_(*run_.kernel) : KernelKnowledge{};
  return *kernel_;
}

Reproer::Answer Reproer::request() {
  if (attempt_ == 0) {
    const KernelKnowledge& kernel = this->kernel();
    const BtfView* types = kernel.types ? &*kernel.types : nullptr;
    const CrashChain chain =
        extract_chain(primary_.crash ? &*primary_.crash : nullptr, primary_.programs,
                      [&](const std::string& name) { return types && types->find_function(name); });
    const ProgramTypes program_types = primary_.program_types();
    PlanInputs in;
    in.kernel = types;
    in.programs = &primary_.programs;
    in.types = &program_types;
    in.kernel_source = kernel.source;
    in.cpus = vcpus(*run_.spec);
    in.history = std::clamp(run_.spec->probe_history, 1u, kMaxReproHistory);
    in.probes = run_.spec->repro_probes == "light"  ? ReproProbes::Light
                : run_.spec->repro_probes == "full" ? ReproProbes::Full
                                                    : ReproProbes::Unstated;
    in.process_died = !primary_.crash;
    in.kernel_fault = primary_.crash && primary_.crash->kind != CrashKind::SchedExtExit;
    plan_ = plan_probes(chain, in);
    if (!types && !kernel.types_missing.empty()) {
      auto d = std::make_unique<DroppedFrameT>();
      d->function = "(all arguments)";
      d->reason = "the kernel's types are not known: " + kernel.types_missing;
      plan_.dropped.push_back(std::move(d));
    }
  }
  ++attempt_;
  repro_ = VmFacts{};
  from_memory_ = false;
  plan_.attempt = attempt_;
  ReproRequestedT r;
  r.attempt = attempt_;
  r.plan = std::make_unique<ProbePlanT>(copy(plan_));
  return r;
}

Reproer::Answer Reproer::on_repro_settled() {
  const TryVerdict verdict = judge_try(primary_, repro_);
  if (verdict.status == ReproStatus::EmulatorArtefact && retries_ < kArtefactRetries && attempt_ < 255) {
    ++retries_;
    if (!best_) take(verdict);
    return request();
  }
  ++tries_;
  same_ += verdict.status == ReproStatus::SameSignature;
  if (!best_ || tells_more(verdict.status, best_->status)) take(verdict);
  const uint32_t wanted = std::clamp(run_.spec->repro_tries, 1u, kMaxReproTries);
  if (tries_ < wanted && attempt_ < 255) return request();
  return finish();
}

void Reproer::on_rings(std::vector<ProbeHitT> hits, std::optional<ProbeTriggeredT> trigger) {
  from_memory_ = !hits.empty();
  repro_.hits = std::move(hits);
  if (trigger) repro_.trigger = std::move(trigger);
}

// A kernel that died kept no time of its own: its task's last hit is the nearest that is known.
std::optional<ProbeTriggeredT> Reproer::end_of_fault() const {
  if (repro_.trigger || !repro_.crash || repro_.crash->kind == CrashKind::SchedExtExit || repro_.hits.empty())
    return std::nullopt;
  ProbeTriggeredT t;
  t.pid = repro_.crash->task_pid;
  t.cpu = static_cast<uint16_t>(std::max(repro_.crash->cpu, 0));
  for (const ProbeHitT& h : repro_.hits)
    if (h.pid == t.pid) t.ns = std::max(t.ns, h.ns);
  if (t.ns == 0) t.ns = repro_.last_hit_ns();
  return t;
}

// What the report shows comes from this try.
void Reproer::take(const TryVerdict& verdict) {
  best_ = verdict;
  shown_ = ReproFinishedT{};
  shown_.status = verdict.status;
  shown_.signature_repro = verdict.signature;
  shown_.last_stage = repro_.stage;
  shown_.reached_workload = repro_.workload_started;
  shown_.init_error = repro_.failure;
  if (repro_.crash) shown_.artefact = repro_.crash->artefact;
  StitchInputs in;
  const auto fault_end = end_of_fault();
  in.plan = &plan_;
  in.hits = &repro_.hits;
  in.trigger = repro_.trigger ? &*repro_.trigger : fault_end ? &*fault_end : nullptr;
  in.attached = repro_.attached ? &*repro_.attached : nullptr;
  in.crash = repro_.crash ? &*repro_.crash : nullptr;
  in.programs = &repro_.programs;
  in.end_ns = repro_.last_hit_ns();
  Stitched stitched = stitch(in);
  shown_.calls = std::move(stitched.calls);
  shown_.earlier = std::move(stitched.earlier);
  shown_.slowdown = slowdown(primary_, repro_);
  if (repro_.exited) shown_.duration_ns = repro_.exited->duration_ns;
  if (repro_.attached) shown_.trigger = repro_.attached->trigger;
  if (repro_.finished) {
    shown_.hits = repro_.finished->hits;
    shown_.hits_dropped = repro_.finished->dropped + repro_.hits_refused;
  } else if (from_memory_) {
    shown_.hits = repro_.hits.size();
    shown_.times_from_last_hit = fault_end.has_value();
  }
  const bool any =
      std::any_of(shown_.calls.begin(), shown_.calls.end(), [](const auto& c) { return c->hit; });
  if (repro_.finished)
    shown_.hit_source = any ? HitSource::Guest : HitSource::NotHit;
  else
    shown_.hit_source = from_memory_ ? HitSource::GuestMemory : HitSource::Lost;
}

ReproFinishedT Reproer::finish() {
  ReproFinishedT f = std::move(shown_);
  f.signature_primary = primary_.signature();
  if (primary_.crash) f.primary_artefact = primary_.crash->artefact;
  f.artefact_retries = retries_;
  f.tries = tries_;
  f.same = same_;
  f.probes = plan_.probes;
  f.probes_asked = !run_.spec->repro_probes.empty();
  f.dropped = std::move(copy(plan_).dropped);
  return f;
}

}  // namespace ktstr
