#include "reproer/probe_planner.h"

#include <algorithm>

#include "bpf/hits.h"
#include "reproer/value_plan.h"
#include "schemas/guest_generated.h"
#include "schemas/probe_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxArguments = 6;  // in registers
constexpr size_t kMaxTargets = 64;

const BpfProgramT* program_named(const PlanInputs& in, const std::string& name) {
  if (!in.programs) return nullptr;
  for (const BpfProgramT& p : *in.programs)
    if (p.name == name) return &p;
  return nullptr;
}

// The parts of a target that follow from its prototype.
void describe(const BtfFunction& f, const BtfView& types, ValuePlanner* planner, ProbeTargetT* t) {
  t->signature = f.signature;
  t->nargs = static_cast<uint8_t>(std::min(f.parameters.size(), kMaxArguments));
  for (size_t i = 0; i < t->nargs; ++i) {
    const BtfParameter& p = f.parameters[i];
    const BtfType type = types.resolve(p.type_id);
    if (type.cls == BtfClass::kStruct || type.cls == BtfClass::kUnion) {  // takes any number of registers
      t->nargs = static_cast<uint8_t>(i);
      break;
    }
    const std::string name = p.name.empty() ? "arg" + std::to_string(i) : p.name;
    if (planner) planner->add_argument(types, static_cast<uint8_t>(i), name, p.type_id, &t->values);
    const BtfType to = type.cls == BtfClass::kPointer ? types.resolve(type.target) : BtfType{};
    if (t->subject_arg == 255 && to.name == "task_struct") t->subject_arg = static_cast<uint8_t>(i);
  }
  if (!t->want_return || types.resolve(f.return_type).cls == BtfClass::kVoid || !planner) return;
  ValueSpecs result;
  planner->add_argument(types, kReturnArg, "return", f.return_type, &result);
  if (!result.empty()) t->values.push_back(std::move(result.front()));
}

void describe_kernel(const PlanInputs& in, ValuePlanner* planner, ProbeTargetT* t) {
  if (!in.kernel) return;
  auto f = in.kernel->function(t->function);
  if (f) describe(*f, *in.kernel, planner, t);
}

void describe_bpf(const PlanInputs& in, const BpfProgramT& p, ValuePlanner* planner, ProbeTargetT* t) {
  if (t->kind == ProbeKind::Callback) {
    if (!in.kernel) return;
    auto f = callback_prototype(*in.kernel, p.member, t->function);
    if (f) describe(*f, *in.kernel, planner, t);
    return;
  }
  auto types = in.types ? in.types->find(p.btf_id) : ProgramTypes::const_iterator{};
  if (!in.types || types == in.types->end()) return;
  auto f = types->second.function(t->function);
  if (f) t->is_static = f->is_static;
  if (f) describe(*f, types->second, planner, t);
}

// A function that is shown only if the second crash came by it: who was there, and with what.
void lighten(ProbeTargetT* t) {
  t->want_return = false;
  std::erase_if(t->values, [](const auto& v) {
    const bool decides = v->offsets.empty() ? v->format != ValueFormat::CString
                                            : v->name.ends_with("->pid") || v->name.ends_with("->comm") ||
                                                  v->name.ends_with("->scx.flags");
    return v->arg == kReturnArg || !decides;
  });
}

void add_kernel_facts(const BtfView& kernel, ProbePlanT* plan) {
  plan->cast_function = kernel.find_function("bpf_rdonly_cast").value_or(0);
  if (auto comm = kernel.field("task_struct", "comm")) plan->comm_offset = comm->offset;
  if (auto pid = kernel.field("task_struct", "pid")) plan->pid_offset = pid->offset;
}

}  // namespace

ReproProbes probes_needed(const CrashChain& chain) {
  return chain.origin == ChainOrigin::kBacktrace && !chain.links.empty() ? ReproProbes::Light
                                                                         : ReproProbes::Full;
}

Result<BtfFunction> callback_prototype(const BtfView& kernel, const std::string& member,
                                       const std::string& function) {
  // The kernel has a stub of each callback, with named parameters.
  if (auto stub = kernel.function("sched_ext_ops__" + member)) {
    for (BtfParameter& p : stub->parameters)
      if (size_t mark = p.name.find("__nullable"); mark != std::string::npos) p.name.resize(mark);
    stub->name = function;
    stub->signature = kernel.signature(*stub);
    return stub;
  }
  auto field = kernel.field("sched_ext_ops", member);
  if (!field) return std::move(field).error();
  auto f = kernel.function(kernel.resolve(kernel.resolve(field->type_id).target).id);
  if (!f) return f;
  f->name = function;
  f->signature = kernel.signature(*f);
  return f;
}

std::vector<std::string> trigger_ladder(const BtfView* kernel) {
  std::vector<std::string> out;
  for (const char* name : {"scx_claim_exit", "scx_vexit", "__scx_exit", "scx_exit", "scx_kf_exit"}) {
    int kind = std::string_view(name) == "scx_kf_exit" ? 0 : 1;
    if (kernel) {
      if (auto f = kernel->function(name)) {
        for (size_t i = 0; i < f->parameters.size() && i < 2; ++i)
          if (kernel->resolve(f->parameters[i].type_id).name == "scx_exit_kind") kind = static_cast<int>(i);
      }
    }
    out.push_back(std::string(name) + "#" + std::to_string(kind));
  }
  return out;
}

ProbePlanT plan_probes(const CrashChain& chain, const PlanInputs& in) {
  ProbePlanT plan;
  plan.attempt = in.attempt;
  plan.history = in.history;
  plan.keep_by_task = chain.origin != ChainOrigin::kBacktrace;
  plan.probes = in.probes == ReproProbes::Unstated ? probes_needed(chain) : in.probes;
  if (in.kernel) add_kernel_facts(*in.kernel, &plan);
  plan.trigger_ladder = trigger_ladder(in.kernel);
  if (in.process_died) plan.trigger_ladder.push_back(std::string(probe::kAnyExit));
  if (in.kernel_fault)
    for (const char* name : {"oops_enter", "vpanic", "panic"})
      plan.trigger_ladder.push_back(std::string(name).append(probe::kFaultMark));
  auto drop = [&](const std::string& function, const std::string& reason) {
    auto d = std::make_unique<DroppedFrameT>();
    d->function = function;
    d->reason = reason;
    plan.dropped.push_back(std::move(d));
  };
  for (const auto& [function, reason] : chain.dropped) drop(function, reason);
  std::unique_ptr<ValuePlanner> planner;
  if (in.kernel) planner = std::make_unique<ValuePlanner>(*in.kernel, in.cpus);
  auto add = [&](const ChainLink& link, uint32_t place) {
    if (plan.targets.size() == kMaxTargets)
      return place == UINT32_MAX ? void() : drop(link.function, "more functions than are probed at once");
    auto t = std::make_unique<ProbeTargetT>();
    t->id = static_cast<uint32_t>(plan.targets.size());
    t->function = link.function;
    t->program = link.program;
    t->tag = link.tag;
    t->source = link.source;
    t->source_text = link.source_text;
    t->chain_index = place;
    if (link.bpf) {
      const BpfProgramT* p = program_named(in, link.program);
      t->kind = p && p->name == link.function ? ProbeKind::Callback : ProbeKind::Subprog;
      t->want_return = true;
      if (p) describe_bpf(in, *p, planner.get(), t.get());
    } else {
      t->kind = ProbeKind::Kprobe;
      t->want_return = true;
      if (in.kernel_source) {
        const SourcePlace source = in.kernel_source(link.function, link.offset);
        t->source = source.line;
        for (const auto& inlined : source.inlined)
          drop(inlined.function,
               "inlined into " + link.function + (inlined.line.empty() ? "" : " (" + inlined.line + ")"));
      }
      describe_kernel(in, planner.get(), t.get());
    }
    plan.targets.push_back(std::move(t));
  };
  uint32_t place = 0;
  auto add_kfunc = [&](const ChainLink& link) {
    const size_t before = plan.targets.size();
    add(link, UINT32_MAX);
    if (plan.targets.size() == before) return;
    plan.targets.back()->want_caller = true;
    // A return probe would replace the address that tells the caller.
    plan.targets.back()->want_return = chain.origin == ChainOrigin::kRefusal;
  };
  for (const ChainLink& link : chain.kfuncs) add_kfunc(link);
  for (const ChainLink& link : chain.links) add(link, place++);
  const size_t chain_end = plan.targets.size();
  for (const ChainLink& link : chain.alternates) add(link, UINT32_MAX);
  if (plan.probes == ReproProbes::Light)
    for (size_t i = chain_end; i < plan.targets.size(); ++i) lighten(plan.targets[i].get());
  return plan;
}

}  // namespace ktstr
