#include "reproer/probe_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bpf/elf_btf.h"
#include "bpf/probe_abi.h"
#include "reproer/testing/makers.h"
#include "reproer/value_plan.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/probe_generated.h"

namespace ktstr {
namespace {

BtfView view(const char* path) {
  auto bytes = read_elf_btf(path);
  EXPECT_TRUE(bytes.ok());
  auto v = BtfView::from_bytes(*bytes);
  EXPECT_TRUE(v.ok());
  return std::move(*v);
}

const ValueSpecT* find(const ProbeTargetT& t, const std::string& name) {
  for (const auto& v : t.values)
    if (v->name == name) return v.get();
  return nullptr;
}

class Plan : public testing::Test {
 protected:
  Plan() : kernel_(view(KTSTR_KERNEL_TYPES)) {
    types_.emplace(23, view(KTSTR_PROGRAM_TYPES));
    programs_.push_back(program("enqueue", {"x_enqueue", "x_place"}));
    in_.kernel = &kernel_;
    in_.programs = &programs_;
    in_.types = &types_;
    in_.cpus = 70;
  }
  ProbePlanT plan() {
    CrashDetectedT crash = demo_crash();
    return plan_probes(extract_chain(&crash, programs_, [](const std::string&) { return false; }), in_);
  }

  BtfView kernel_;
  ProgramTypes types_;
  std::vector<BpfProgramT> programs_;
  PlanInputs in_;
};

TEST_F(Plan, KernelFunctionFromItsPrototype) {
  ProbePlanT p = plan();
  ASSERT_EQ(p.targets.size(), 3u);
  const ProbeTargetT& t = *p.targets[2];
  EXPECT_EQ(t.kind, ProbeKind::Kprobe);
  EXPECT_EQ(t.signature,
            "void do_enqueue_task(struct rq *rq, struct task_struct *p, u64 enq_flags, int sticky_cpu)");
  EXPECT_EQ(t.nargs, 4);
  EXPECT_EQ(t.subject_arg, 1);
  EXPECT_TRUE(t.want_return);
  ASSERT_TRUE(find(t, "p->scx.dsq.id"));
  EXPECT_EQ(find(t, "p->scx.dsq.id")->offsets, (std::vector<uint32_t>{40, 8}));
  EXPECT_EQ(find(t, "p->scx.dsq.id")->format, ValueFormat::DsqId);
  EXPECT_EQ(find(t, "p->comm")->format, ValueFormat::String);
  EXPECT_EQ(find(t, "p->cpus_ptr")->size, 16) << "70 CPUs";
  EXPECT_EQ(find(t, "rq->curr.pid")->offsets.size(), 2u);
  EXPECT_EQ(find(t, "enq_flags")->format, ValueFormat::Flags);
  EXPECT_TRUE(find(t, "enq_flags")->offsets.empty());
}

TEST_F(Plan, CallbackHasTheKernelsPrototypeAndItsOwnName) {
  ProbePlanT p = plan();
  const ProbeTargetT& t = *p.targets[1];
  EXPECT_EQ(t.kind, ProbeKind::Callback);
  EXPECT_EQ(t.signature, "void x_enqueue(struct task_struct *p, u64 enq_flags)");
  EXPECT_TRUE(t.want_return);
  EXPECT_EQ(t.program, "x_enqueue");
}

TEST_F(Plan, ACallbackWithoutStubIsTakenFromTheOps) {
  auto f = callback_prototype(kernel_, "select_cpu", "x_select");
  ASSERT_TRUE(f.ok());
  EXPECT_EQ(f->signature, "s32 x_select(struct task_struct *, s32, u64)");
  EXPECT_FALSE(callback_prototype(kernel_, "no_such", "x").ok());
}

TEST_F(Plan, AProgramsPartialCopyIsReadByTheKernelsLayout) {
  ProbePlanT p = plan();
  const ProbeTargetT& t = *p.targets[0];
  EXPECT_EQ(t.kind, ProbeKind::Subprog);
  ASSERT_TRUE(find(t, "p->pid"));
  EXPECT_EQ(find(t, "p->pid")->offsets[0], kernel_.field("task_struct", "pid")->offset);
  ASSERT_TRUE(find(t, "c->budget")) << "a struct of the scheduler's own";
  EXPECT_EQ(find(t, "c->cell")->format, ValueFormat::Signed);
  ASSERT_TRUE(find(t, "return"));
  EXPECT_EQ(find(t, "return")->arg, kReturnArg);
}

TEST_F(Plan, FlagSetsKeepFieldsAndDropMasks) {
  ProbePlanT p = plan();
  const ValueSpecT* enq = find(*p.targets[2], "enq_flags");
  EXPECT_THAT(enq->enum_names, testing::ElementsAre("SCX_ENQ_WAKEUP", "SCX_ENQ_HEAD", "SCX_ENQ_LAST"));
  const ValueSpecT* ent = find(*p.targets[2], "p->scx.flags");
  EXPECT_THAT(ent->enum_names, testing::ElementsAre("SCX_TASK_STATE_MASK", "SCX_TASK_QUEUED", "SCX_TASK_INIT",
                                                    "SCX_TASK_READY", "SCX_TASK_ENABLED"));
}

TEST_F(Plan, OtherStructsShowTheirScalars) {
  ValuePlanner planner(kernel_, 4);
  auto f = kernel_.function("look_at");
  ASSERT_TRUE(f.ok());
  ValueSpecs values;
  for (uint8_t i = 0; i < 3; ++i)
    planner.add_argument(kernel_, i, f->parameters[i].name, f->parameters[i].type_id, &values);
  std::vector<std::string> names;
  for (const auto& v : values) names.push_back(v->name);
  EXPECT_THAT(names, testing::ElementsAre("o", "o->first", "o->low", "o->high", "o->label", "o->ready",
                                          "count", "*count", "name"));
  EXPECT_EQ(values[3]->bit_offset, 3);
  EXPECT_EQ(values[3]->bit_size, 5);
  EXPECT_EQ(values[8]->format, ValueFormat::CString);
}

TEST_F(Plan, LightKeepsReturnsAndValuesOfTheChainAlone) {
  CrashDetectedT crash = demo_crash();
  CrashChain chain = extract_chain(&crash, programs_, [](const std::string&) { return false; });
  ChainLink other;
  other.function = "look_at";
  chain.alternates.push_back(other);
  other.function = chain.links.back().function;  // do_enqueue_task, as if the chain had it not
  chain.links.pop_back();
  chain.alternates.push_back(other);
  ChainLink kfunc;
  kfunc.function = "look_at";
  chain.kfuncs.push_back(kfunc);
  in_.probes = ReproProbes::Full;
  const ProbePlanT full = plan_probes(chain, in_);
  in_.probes = ReproProbes::Light;
  const ProbePlanT light = plan_probes(chain, in_);
  EXPECT_EQ(full.probes, ReproProbes::Full);
  EXPECT_EQ(light.probes, ReproProbes::Light);
  ASSERT_EQ(light.targets.size(), 5u);
  ASSERT_EQ(full.targets.size(), 5u);
  for (size_t i = 0; i < 3; ++i) {  // the kfunc, and the chain
    EXPECT_EQ(light.targets[i]->want_return, full.targets[i]->want_return) << i;
    EXPECT_EQ(light.targets[i]->values.size(), full.targets[i]->values.size()) << i;
  }
  EXPECT_TRUE(light.targets[1]->want_return);
  for (size_t i = 3; i < 5; ++i) {
    EXPECT_TRUE(full.targets[i]->want_return) << i;
    EXPECT_FALSE(light.targets[i]->want_return) << i;
    EXPECT_EQ(light.targets[i]->nargs, full.targets[i]->nargs) << i;
    EXPECT_LT(light.targets[i]->values.size(), full.targets[i]->values.size()) << i;
  }
  EXPECT_TRUE(find(*light.targets[4], "p"));
  EXPECT_TRUE(find(*light.targets[4], "p->pid")) << "whose call it was decides which is shown";
  EXPECT_FALSE(find(*light.targets[4], "p->scx.slice"));
}

TEST_F(Plan, WhatTheProbesTakeFollowsFromTheCrash) {
  CrashChain chain;
  chain.links.resize(1);
  chain.links[0].function = "do_enqueue_task";
  EXPECT_EQ(plan_probes(chain, in_).probes, ReproProbes::Light);
  for (const ChainOrigin origin : {ChainOrigin::kCallbacks, ChainOrigin::kStall, ChainOrigin::kRefusal}) {
    chain.origin = origin;
    EXPECT_EQ(plan_probes(chain, in_).probes, ReproProbes::Full);
  }
  in_.probes = ReproProbes::Light;
  EXPECT_EQ(plan_probes(chain, in_).probes, ReproProbes::Light);
  EXPECT_EQ(probes_needed(CrashChain{}), ReproProbes::Full) << "no chain is known";
}

TEST_F(Plan, LadderKnowsWhereTheKindStands) {
  EXPECT_THAT(trigger_ladder(&kernel_), testing::ElementsAre("scx_claim_exit#1", "scx_vexit#1",
                                                             "__scx_exit#1", "scx_exit#1", "scx_kf_exit#0"));
  EXPECT_THAT(trigger_ladder(nullptr), testing::Contains("scx_kf_exit#0"));
}

TEST_F(Plan, WithoutTypesTheChainIsStillProbed) {
  in_.kernel = nullptr;
  ProbePlanT p = plan();
  ASSERT_EQ(p.targets.size(), 3u);
  EXPECT_EQ(p.targets[2]->nargs, 0);
  EXPECT_TRUE(p.targets[2]->values.empty());
}

TEST_F(Plan, EveryTargetFitsTheProbe) {
  ProbePlanT p = plan();
  for (const auto& t : p.targets) {
    uint32_t bytes = 0;
    for (const auto& v : t->values) {
      bytes += planned_bytes(*v);
      EXPECT_LE(v->offsets.size(), size_t{KTSTR_MAX_HOPS});
    }
    EXPECT_LE(bytes, uint32_t{KTSTR_DATA_BYTES});
    EXPECT_LE(t->values.size(), size_t{KTSTR_MAX_VALUES - 1})
        << "bit 31 tells that the arguments could not be read";
  }
}

}  // namespace
}  // namespace ktstr
