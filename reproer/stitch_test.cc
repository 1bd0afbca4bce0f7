#include "reproer/stitch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reproer/testing/makers.h"
#include "reproer/value_plan.h"
#include "schemas/crash_generated.h"
#include "schemas/repro_generated.h"

namespace ktstr {
namespace {

// Three functions, 0 innermost: each has argument p and p->pid, p->slice. Target 3 is an alternate.
class Stitch : public testing::Test {
 protected:
  Stitch() {
    for (const char* name : {"x_place", "x_enqueue", "do_enqueue_task", "put_prev_task_scx"}) {
      auto t = std::make_unique<ProbeTargetT>();
      t->id = static_cast<uint32_t>(plan_.targets.size());
      t->chain_index = t->id == 3 ? UINT32_MAX : t->id;
      t->function = name;
      t->kind = t->id < 2 ? ProbeKind::Subprog : ProbeKind::Kprobe;
      t->subject_arg = 0;
      t->nargs = 1;
      add(t.get(), "p", 0, ValueFormat::Pointer, {});
      add(t.get(), "p->pid", 0, ValueFormat::Signed, {8});
      add(t.get(), "p->slice", 0, ValueFormat::Unsigned, {16});
      if (t->id == 0) add(t.get(), "return", kReturnArg, ValueFormat::Signed, {});
      plan_.targets.push_back(std::move(t));
    }
    trigger_.ns = 1000;
    trigger_.pid = 131;
    trigger_.stack = {"scx_vexit+0x1/0x2", "bpf_prog_6fb316157b404777_x_place+0x3/0x9",
                      "bpf_prog_6fb316157b404777_x_enqueue+0x3/0x9", "do_enqueue_task+0x1/0x2"};
    in_.plan = &plan_;
    in_.hits = &hits_;
    in_.trigger = &trigger_;
  }
  static void add(ProbeTargetT* t, const char* name, uint8_t arg, ValueFormat format,
                  std::vector<uint32_t> offsets) {
    auto v = std::make_unique<ValueSpecT>();
    v->name = name;
    v->arg = arg;
    v->format = format;
    v->offsets = std::move(offsets);
    v->type_name = name == std::string("p") ? "struct task_struct *" : "int";
    t->values.push_back(std::move(v));
  }
  ProbeHitT& hit(uint32_t target, uint64_t ns, int pid = 131, int64_t slice = 5,
                 HitWhen when = HitWhen::Entry, int subject = 42) {
    ProbeHitT h;
    h.target = target;
    h.ns = ns;
    h.pid = pid;
    h.comm = "t" + std::to_string(pid);
    h.when = when;
    h.raw_args = {0xff00};
    int64_t data[4] = {0xff00, subject, slice, -7};
    for (size_t i = 0; i < plan_.targets[target]->values.size(); ++i) {
      auto v = std::make_unique<ProbeValueT>();
      v->index = static_cast<uint16_t>(i);
      v->data = bytes_of(data[i]);
      h.values.push_back(std::move(v));
    }
    hits_.push_back(std::move(h));
    return hits_.back();
  }
  static std::string text(const DecodedCallT& c, const std::string& name) {
    for (const auto& v : c.values)
      if (v->name == name) return v->entry + (v->exit.empty() ? "" : " → " + v->exit);
    return "(absent)";
  }

  ProbePlanT plan_;
  std::vector<ProbeHitT> hits_;
  ProbeTriggeredT trigger_;
  StitchInputs in_;
};

TEST_F(Stitch, LastJourneyOfTheCrashingTask) {
  hit(2, 100);
  hit(1, 110);
  hit(0, 120);
  hit(2, 900);
  hit(1, 910);
  hit(0, 920);
  hit(0, 950, 7);  // another task's
  auto calls = stitch(in_).calls;
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0]->function, "do_enqueue_task");
  EXPECT_EQ(calls[2]->function, "x_place");
  EXPECT_EQ(calls[0]->ns_before, 100u);
  EXPECT_EQ(calls[2]->ns_before, 80u);
  EXPECT_EQ(calls[2]->pid, 131);
  EXPECT_EQ(calls[2]->caller, "x_enqueue");
  EXPECT_EQ(calls[0]->caller, "") << "the outermost";
  for (const auto& c : calls) EXPECT_EQ(c->reason, CallReason::Unstated);
}

TEST_F(Stitch, HitsAfterTheTriggerOrTheCalleeAreNotItsCallers) {
  hit(2, 900);
  hit(0, 920);
  hit(2, 960);   // the task was interrupted further in
  hit(0, 1010);  // behind the trigger
  auto calls = stitch(in_).calls;
  EXPECT_EQ(calls[0]->ns_before, 100u);
  EXPECT_EQ(calls[2]->ns_before, 80u);
}

TEST_F(Stitch, ExitShowsChangesAndTheReturnValue) {
  hit(0, 920, 131, 5);
  hit(0, 1001, 131, 9, HitWhen::Exit);
  auto calls = stitch(in_).calls;
  EXPECT_EQ(text(*calls[2], "p->slice"), "5 → 9");
  EXPECT_EQ(text(*calls[2], "p->pid"), "42");
  EXPECT_EQ(text(*calls[2], "p"), "0xff00");
  EXPECT_EQ(calls[2]->retval, "-7");
}

TEST_F(Stitch, AnotherCallsExitIsNotTaken) {
  hit(0, 100, 131, 5);
  hit(0, 110, 131, 6, HitWhen::Exit);
  hit(0, 920, 131, 7);
  auto calls = stitch(in_).calls;
  EXPECT_EQ(text(*calls[2], "p->slice"), "7");
  EXPECT_EQ(calls[2]->retval, "");
}

TEST_F(Stitch, AReturnAfterTheTriggerIsNotOfACallThatWasOver) {
  trigger_.stack = {"scx_vexit+0x1/0x2", "do_enqueue_task+0x1/0x2"};
  hit(0, 100, 131, 5);  // returned long ago; that was not kept
  hit(0, 1001, 131, 9, HitWhen::Exit);
  const auto find = [&] {
    for (auto& c : stitch(in_).calls)
      if (c->function == "x_place") return std::move(c);
    return std::make_unique<DecodedCallT>();
  };
  auto call = find();
  EXPECT_TRUE(call->hit);
  EXPECT_EQ(call->retval, "");
  EXPECT_EQ(text(*call, "p"), "0xff00");
  plan_.history = 2;  // every return is kept
  EXPECT_EQ(find()->retval, "-7");
}

TEST_F(Stitch, IdleTasksOfOtherCpusAreOtherTasks) {
  trigger_.pid = 0;
  trigger_.cpu = 2;
  hit(0, 920, 0, 5).cpu = 2;
  hit(0, 940, 0, 6).cpu = 1;
  hit(0, 1001, 0, 7, HitWhen::Exit).cpu = 1;
  hit(0, 1002, 0, 8, HitWhen::Exit).cpu = 2;
  auto calls = stitch(in_).calls;
  EXPECT_EQ(text(*calls[2], "p->slice"), "5 → 8");
  EXPECT_EQ(calls[2]->cpu, 2);
  EXPECT_EQ(calls[2]->reason, CallReason::Unstated);
}

TEST_F(Stitch, WhatTheCallerShowedIsNotRepeated) {
  hit(2, 900, 131, 5);
  hit(1, 910, 131, 5);
  hit(0, 920, 131, 6);
  auto calls = stitch(in_).calls;
  EXPECT_EQ(text(*calls[0], "p->slice"), "5");
  EXPECT_EQ(text(*calls[1], "p->slice"), "(absent)");
  EXPECT_EQ(text(*calls[1], "p"), "0xff00") << "the value alone, no words";
  EXPECT_EQ(calls[1]->values[0]->same_fields, 1u);
  EXPECT_EQ(calls[1]->values[0]->same_as, "do_enqueue_task");
  EXPECT_EQ(text(*calls[1], "p->pid"), "42") << "who it is stays";
  EXPECT_EQ(text(*calls[2], "p->slice"), "6") << "changed meanwhile";
}

TEST_F(Stitch, TheSecondCrashMayComeAnotherWay) {
  trigger_.stack[3] = "put_prev_task_scx+0x1/0x2";
  hit(2, 300);
  hit(3, 890);
  hit(1, 910);
  hit(0, 920);
  auto calls = stitch(in_).calls;
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_EQ(calls[0]->function, "do_enqueue_task");
  EXPECT_EQ(calls[0]->reason, CallReason::OffPathSameTask);
  EXPECT_EQ(text(*calls[0], "p->slice"), "(absent)") << "brief";
  EXPECT_EQ(calls[1]->function, "put_prev_task_scx");
  EXPECT_EQ(calls[2]->caller, "put_prev_task_scx");
}

TEST_F(Stitch, TheCallerIsTheRealOneThoughItWasNotProbed) {
  trigger_.stack[3] = "some_other_caller+0x1/0x2";
  trigger_.stack.push_back("do_enqueue_task+0x1/0x2");
  hit(2, 890);
  hit(1, 910);
  hit(0, 920);
  auto calls = stitch(in_).calls;
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[1]->function, "x_enqueue");
  EXPECT_EQ(calls[1]->caller, "some_other_caller");
  trigger_.stack[3] = "asm_sysvec_apic_timer_interrupt+0x1/0x2";
  EXPECT_EQ(stitch(in_).calls[1]->caller, "an interrupt");
}

TEST_F(Stitch, AnAlternateThatWasNotOnThePathIsSilent) {
  hit(3, 890);
  EXPECT_EQ(stitch(in_).calls.size(), 3u);
}

TEST_F(Stitch, WhatWasNotHitSaysWhy) {
  ProbeAttachedT attached;
  attached.attached = {0, 2};
  auto d = std::make_unique<DroppedFrameT>();
  d->function = "x_enqueue";
  d->reason = "fentry refused";
  attached.failed.push_back(std::move(d));
  in_.attached = &attached;
  auto calls = stitch(in_).calls;
  EXPECT_FALSE(calls[1]->hit);
  EXPECT_EQ(calls[1]->reason, CallReason::AttachFailed);
  EXPECT_EQ(calls[1]->reason_detail, "fentry refused");
  EXPECT_EQ(calls[2]->reason, CallReason::NeverCalled);
}

TEST_F(Stitch, AStallShowsTheStuckTaskHoweverLongAgo) {
  plan_.keep_by_task = true;
  CrashDetectedT crash;
  crash.stall_task_pid = 77;
  in_.crash = &crash;
  trigger_.ns = 9'000'000'000;
  hit(1, 100, 3, 5, HitWhen::Entry, 77);
  hit(1, 8'000'000'000, 3, 5, HitWhen::Entry, 42);
  hit(2, 8'000'000'000, 3, 5, HitWhen::Entry, 42);
  auto calls = stitch(in_).calls;
  ASSERT_EQ(calls[0]->function, "x_enqueue") << "by time";
  EXPECT_EQ(text(*calls[0], "p->pid"), "77");
  EXPECT_EQ(calls[0]->reason, CallReason::StuckTask);
  EXPECT_EQ(calls[1]->function, "do_enqueue_task");
  EXPECT_EQ(calls[1]->reason, CallReason::NeverForStuckTask);
  EXPECT_FALSE(calls.back()->hit);
}

TEST_F(Stitch, AStaticFunctionsRegistersAreDoubted) {
  plan_.targets[0]->is_static = true;
  hit(0, 920).raw_args = {3};
  hit(0, 1001, 131, 5, HitWhen::Exit).raw_args = {3};
  auto calls = stitch(in_).calls;
  EXPECT_TRUE(calls[2]->shifted);
  EXPECT_TRUE(calls[2]->is_static);
  EXPECT_EQ(calls[2]->retval, "-7");
  hits_[0].raw_args = {0xff261b49bf888000};
  EXPECT_FALSE(stitch(in_).calls[2]->shifted);
}

// The probe keeps the arguments of the innermost call of a function; the outer one's return comes with them.
TEST_F(Stitch, AReturnWithOtherArgumentsIsOfAnotherCall) {
  hit(0, 920);
  hit(0, 1001, 131, 9, HitWhen::Exit).raw_args = {0xee00};
  EXPECT_EQ(stitch(in_).calls[2]->retval, "");
  hits_.back().raw_args = {0xff00};
  EXPECT_EQ(stitch(in_).calls[2]->retval, "-7");
}

TEST_F(Stitch, TextThatCannotBeReadIsAnAddress) {
  plan_.targets[0]->values[0]->format = ValueFormat::CString;
  hit(0, 920).values[0]->failed = true;
  EXPECT_EQ(text(*stitch(in_).calls[2], "p"), "0xff00 (not readable)");
}

TEST_F(Stitch, AHistoryIsOfThatCpuNewestFirstAndBounded) {
  trigger_.cpu = 2;
  for (uint64_t ns : {500, 600, 700, 800}) hit(0, ns, 9, 5).cpu = 2;
  hit(0, 850, 9, 5).cpu = 1;
  hit(0, 920, 131, 5).cpu = 2;
  hit(0, 1010, 9, 5).cpu = 2;
  EXPECT_TRUE(stitch(in_).earlier.empty()) << "not asked for";
  plan_.history = 3;
  auto earlier = stitch(in_).earlier;
  ASSERT_EQ(earlier.size(), 2u);
  EXPECT_EQ(earlier[0]->ns_before, 200u);
  EXPECT_EQ(earlier[0]->history, 1u);
  EXPECT_EQ(earlier[0]->pid, 9);
  EXPECT_EQ(earlier[1]->ns_before, 300u);
  EXPECT_EQ(text(*earlier[1], "p"), "0xff00");
  EXPECT_EQ(text(*earlier[1], "p->slice"), "(absent)") << "did not change";
}

TEST_F(Stitch, ForeignTargetsAndIndexesAreIgnored) {
  ProbeHitT& h = hit(0, 920);
  h.values[0]->index = 900;
  ProbeHitT wild;
  wild.target = 4000;
  hits_.push_back(std::move(wild));
  EXPECT_EQ(stitch(in_).calls.size(), 3u);
}

}  // namespace
}  // namespace ktstr
