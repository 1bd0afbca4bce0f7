#include "scx/crash_signature.h"

#include <gtest/gtest.h>

#include "schemas/crash_generated.h"
#include "scx/crash_frames.h"

namespace ktstr {
namespace {

void add(CrashDetectedT* c, const char* function, uint32_t offset, const char* tag = "") {
  auto f = std::make_unique<ChainFrameT>();
  f->function = function;
  f->offset = offset;
  f->tag = tag;
  c->backtrace.push_back(std::move(f));
}

CrashDetectedT sample(const char* message) {
  CrashDetectedT c;
  c.exit_kind = 0x401;
  c.reason = "scx_bpf_error";
  c.message = message;
  add(&c, "scx_exit_bstr", 0x63);
  add(&c, "scx_bpf_error_bstr", 0x60);
  add(&c, "demo_charge", 0x98, "27c544f96ba4203b");
  add(&c, "demo_enqueue", 0x21, "fb794ccf58285a18");
  return c;
}

TEST(CrashSignature, NumbersTasksAndAddressesVary) {
  EXPECT_EQ(normalize_crash_message("budget of 500 enqueues spent by pipe_7[130] on cpu 0"),
            "budget of N enqueues spent by TASK on cpu N");
  EXPECT_EQ(normalize_crash_message("yield_0[118] failed to run for 2.012s"), "TASK failed to run for Ns");
  EXPECT_EQ(normalize_crash_message("invalid DSQ ID 0xdead for  kworker/0:1[7]"),
            "invalid DSQ ID N for TASK");
  EXPECT_EQ(normalize_crash_message("at 0xffff888012345678 err=-22"), "at ADDR err=N");
  EXPECT_EQ(normalize_crash_message("cell3 is full"), "cellN is full");
  EXPECT_EQ(normalize_crash_message("a[i] is not a task, []"), "a[i] is not a task, []");
  EXPECT_EQ(normalize_crash_message(""), "");
}

TEST(CrashSignature, SameBugSameSignature) {
  CrashDetectedT a = sample("spent by pipe_7[130] on cpu 0");
  add(&a, "scx_do_enqueue_task", 0x310);
  add(&a, "ttwu_do_activate", 0x75);
  CrashDetectedT b = sample("spent by yield_1[7] on cpu 12");
  add(&b, "scx_do_enqueue_task", 0x310);
  add(&b, "put_prev_task_scx", 0x21);
  EXPECT_EQ(crash_signature(a), crash_signature(b));
  EXPECT_EQ(crash_signature(a), "0x401 scx_bpf_error: spent by TASK on cpu N @ demo_charge < demo_enqueue");
}

TEST(CrashSignature, ProbesLeaveNoTrace) {
  CrashDetectedT plain = sample("x");
  CrashDetectedT probed;
  probed.exit_kind = 0x401;
  probed.reason = "scx_bpf_error";
  probed.message = "x";
  add(&probed, "on_exit_event", 0xed, "e7621f1d5fc5ac55");
  add(&probed, "bpf_trace_run2", 0x24f);
  add(&probed, "scx_claim_exit", 0x76);
  add(&probed, "demo_charge", 0x98, "27c544f96ba4203b");
  add(&probed, "demo_charge", 0x9, "27c544f96ba4203b");  // left by fexit on 6.16
  add(&probed, "bpf_trampoline_107374182441", 0x81);
  add(&probed, "demo_enqueue", 0x21, "fb794ccf58285a18");
  EXPECT_EQ(crash_signature(plain), crash_signature(probed));
}

TEST(CrashSignature, OtherBugOtherSignature) {
  EXPECT_NE(crash_signature(sample("no such cell")), crash_signature(sample("no such DSQ")));
  CrashDetectedT stall = sample("x");
  stall.exit_kind = 0x402;
  EXPECT_NE(crash_signature(stall), crash_signature(sample("x")));
}

TEST(CrashSignature, ACheckOfTheKernelIsOneBugWhateverLedThere) {
  CrashDetectedT woken, yielded;
  for (CrashDetectedT* c : {&woken, &yielded}) {
    c->exit_kind = 0x400;
    c->reason = "runtime error";
    c->message = "non-existent DSQ 0xbad";
    add(c, "find_dsq_for_dispatch", 0x168);
    add(c, "scx_do_enqueue_task", 0x310);
  }
  add(&woken, "enqueue_task_scx", 0x188);
  add(&yielded, "put_prev_task_scx", 0x308);
  EXPECT_EQ(crash_signature(woken), crash_signature(yielded));
  EXPECT_EQ(crash_signature(woken),
            "0x400 runtime error: non-existent DSQ N @ find_dsq_for_dispatch < scx_do_enqueue_task");
}

TEST(CrashSignature, KernelOnlyBacktraceTakesTheTop) {
  CrashDetectedT c;
  c.kind = CrashKind::KernelOops;
  c.message = "kernel NULL pointer dereference, address: 0000000000000000";
  for (const char* f : {"a", "b", "c", "d"}) add(&c, f, 1);
  EXPECT_EQ(crash_signature(c), "KernelOops: kernel NULL pointer dereference, address: N @ a < b < c");
}

TEST(CrashFrames, RecursionIsKept) {
  CrashDetectedT c;
  add(&c, "walk", 0x40);
  add(&c, "walk", 0x40);
  add(&c, "asm_sysvec_apic_timer_interrupt", 0x1a);
  auto frames = split_frames(c);
  EXPECT_EQ(frames.kept.size(), 2u);
  ASSERT_EQ(frames.dropped.size(), 1u);
  EXPECT_EQ(frames.reasons[0], "interrupt and softirq plumbing");
}

TEST(CrashFrames, WhatAnInterruptStoppedIsNoPartOfTheCrash) {
  CrashDetectedT timer, elsewhere;
  for (CrashDetectedT* c : {&timer, &elsewhere}) {
    c->exit_kind = 0x401;
    c->message = "budget gone";
    add(c, "fire_budget_timer", 0x40, "27c544f96ba4203b");
    add(c, "hrtimer_run_softirq", 0x40);
    add(c, "asm_sysvec_apic_timer_interrupt", 0x1a);
  }
  add(&timer, "x_dispatch", 0x40, "fb794ccf58285a18");  // another program was running
  add(&elsewhere, "vfs_read", 0x40);
  EXPECT_EQ(crash_signature(timer), crash_signature(elsewhere));
  EXPECT_EQ(split_frames(timer).kept.size(), 2u);
  EXPECT_EQ(split_frames(timer).reasons.back(), "what the interrupt stopped, not what it did");
  timer.kind = CrashKind::Lockup;
  EXPECT_EQ(split_frames(timer).kept.size(), 3u) << "a watchdog's interrupt tells of what it stopped";
}

}  // namespace
}  // namespace ktstr
