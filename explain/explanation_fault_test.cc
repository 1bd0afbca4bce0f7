// The kernel's own trouble. Texts in the kernel's, libbpf's and runtimes' formats; names and numbers are made up.
#include <gtest/gtest.h>

#include "explain/explanation.h"
#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::expect_words;
using testing::explained;
using testing::first;

TEST(Explain, AFallInAHelperBlamesItsCaller) {
  const Explanation e = first(R"(BUG: kernel NULL pointer dereference, address: 0000000000000008
Oops: Oops: 0002 [#1] SMP NOPTI
CPU: 2 UID: 0 PID: 9 Comm: a Not tainted 7.2.0 #1
RIP: 0010:rb_erase+0x10/0x300
Call Trace:
 <TASK>
 dispatch_dequeue+0x10/0x200
 dequeue_task_scx+0x10/0x200
 </TASK>
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Fatal exception
)");
  EXPECT_EQ(e.cls, "panic");
  EXPECT_EQ(e.function, "dispatch_dequeue");
  expect_words(e.summary, {"panic", "NULL pointer", "rb_erase", "dispatch_dequeue"});
}

TEST(Explain, KernelsOwnersMakeTheChain) {
  const Explanation e = first(R"(INFO: task a:10 blocked for more than 120 seconds.
task:a               state:D stack:0     pid:10    tgid:10    ppid:2      flags:0x00004000
Call Trace:
 <TASK>
 __schedule+0x1/0x2
 mutex_lock+0x1/0x2
 wants_it+0x1/0x2
 </TASK>
INFO: task a:10 is blocked on a mutex likely owned by task b:20.
INFO: task b:20 blocked for more than 120 seconds.
task:b               state:D stack:0     pid:20    tgid:20    ppid:2      flags:0x00004000
Call Trace:
 <TASK>
 __schedule+0x1/0x2
 wait_for_completion+0x1/0x2
 has_it+0x1/0x2
 </TASK>
)");
  EXPECT_EQ(e.cls, "hung-task");
  EXPECT_EQ(e.task, "b");  // the holder, not the first victim
  expect_words(e.summary, {"b (in has_it) ← a (in wants_it)"});
}

TEST(Explain, AMutexWaitIsNotEveryMutexWait) {
  auto text = [](const std::string& function) {
    return "INFO: task a:10 blocked for more than 120 seconds.\ntask:a               state:D stack:0     "
           "pid:10    tgid:10    ppid:2      "
           "flags:0x0\nCall Trace:\n <TASK>\n __schedule+0x1/0x2\n mutex_lock+0x1/0x2\n " +
           function + "+0x1/0x2\n </TASK>\n";
  };
  EXPECT_NE(first(text("f")).signature, first(text("g")).signature);
}

TEST(Explain, AWarningIsNoPanicAndOtherCodesIsSaid) {
  const Explanation e = first(
      "WARNING: CPU: 1 PID: 9 at fs/x.c:12 x_put+0x1/0x2 [x]\nCPU: 1 UID: 0 PID: 9 Comm: a Not tainted "
      "6.17.0 #1\n");
  EXPECT_EQ(e.cls, "warning");
  expect_words(e.summary, {"not fatal", "x_put"});
  EXPECT_EQ(e.summary.find("panic"), std::string::npos);
}

TEST(Explain, SeveralFaultsAndBootsAreToldInTheirOrder) {
  const auto crashes = explained(R"([    0.000000] Linux version 7.1.0 (x) #1
[    5.000000] WARNING: CPU: 1 PID: 9 at kernel/sched/ext.c:12 scx_a+0x1/0x2
[    5.000001] ---[ end trace 0000000000000000 ]---
[    0.000000] Linux version 7.2.0 (x) #1
[    6.000000] watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [scx_b:77]
)");
  ASSERT_EQ(crashes.size(), 2u);
  EXPECT_EQ(crashes[0].kernel, "7.1.0");
  EXPECT_EQ(crashes[1].kernel, "7.2.0");
  EXPECT_EQ(crashes[1].cls, "soft-lockup");
  EXPECT_EQ(crashes[1].task, "scx_b");
}

TEST(Explain, LockdepNamesBothLocksAndSchedExtsFunction) {
  const Explanation e = first(R"(WARNING: possible circular locking dependency detected
scx_x/16 is trying to acquire lock:
ffff (cpu_hotplug_lock){++++}-{0:0}, at: percpu_down_read+0xe4/0xcf0
but task is already holding lock:
ffff (scx_fork_rwsem){++++}-{0:0}, at: scx_enable+0xdf/0xcf0
stack backtrace:
Call Trace:
 <TASK>
 dump_stack_lvl+0x64/0xb0
 lock_acquire+0x64/0xb0
 cpus_read_lock+0x64/0xb0
 scx_enable.isra.0+0xe4/0xcf0
 </TASK>
)");
  EXPECT_EQ(e.cls, "lockdep");
  EXPECT_EQ(e.function, "scx_enable");
  expect_words(e.summary, {"circular", "cpu_hotplug_lock", "scx_fork_rwsem", "scx_enable"});
}

TEST(Explain, AWarningNamesTheSchedulersPartInIt) {
  const Explanation own = first(R"(WARNING: CPU: 1 PID: 9 at kernel/sched/ext.c:12 scx_bpf_dsq_insert+0x1/0x2
CPU: 1 UID: 0 PID: 9 Comm: a b.N3 Kdump: loaded Tainted: G S         OE      6.13.2-0_x #1
Call Trace:
 <TASK>
 ? __warn+0x1/0x2
 bpf_prog_0123456789abcdef_mine_enqueue+0x1/0x2
 do_enqueue_task+0x1/0x2
 </TASK>
)");
  expect_words(own.summary, {"in scx_bpf_dsq_insert", "called by mine_enqueue"});
  EXPECT_EQ(own.task, "a b.N3");
  EXPECT_EQ(own.kernel, "6.13.2-0_x");
  const Explanation other = first(R"(sched: Unexpected reschedule of offline CPU#25!
WARNING: CPU: 9 PID: 1804 at arch/x86/kernel/apic/ipi.c:70 native_smp_send_reschedule+0x2d/0x40
Call Trace:
 <TASK>
 scx_bypass+0x1/0x2
 scx_disable_workfn+0x1/0x2
 </TASK>
)");
  expect_words(other.summary, {"native_smp_send_reschedule", "reached from scx_bypass"});
}

TEST(Explain, AWarningWhoseHeadAndRegistersAreCutOffIsReadFromItsTrace) {
  const std::string trace =
      "Code: eb 42 0f 1f 44\nRSP: 0018:ffffb23e619479e8 EFLAGS: 00010046\nCall Trace:\n <TASK>\n ? "
      "__warn+0xd5/0x1d0\n ? "
      "scx_f+0x178/0x240\n ? report_bug+0x144/0x1f0\n ? scx_f+0x178/0x240\n ? handle_bug+0x6a/0x90\n ? "
      "asm_exc_invalid_op+0x1a/0x20\n ? scx_f+0x178/0x240\n scx_outer+0x1/0x2\n bpf_scx_reg+0x1/0x2\n "
      "</TASK>\n---[ end trace "
      "0000000000000000 ]---\n";
  for (const std::string& text : {trace, "RIP: 0010:scx_f+0x178/0x240\n" + trace}) {
    const auto crashes = explained(text);
    ASSERT_EQ(crashes.size(), 1u) << text;
    EXPECT_EQ(crashes[0].cls, "warning") << text;
    EXPECT_EQ(crashes[0].function, "scx_f") << text;
    expect_words(crashes[0].summary, {"not fatal", "scx_f"});
    EXPECT_FALSE(crashes[0].lacks.empty());
    EXPECT_EQ(crashes[0].signature, "warning: scx_f");
  }
}

TEST(Explain, APanicOnWarnNamesTheWarningsFunction) {
  auto text = [](const std::string& function) {
    return "[2025-08-20 20:08:59] [  302.971448] Kernel panic - not syncing: kernel: panic_on_warn set ...\n"
           "CPU: 1 UID: 0 PID: 81 Comm: a Not tainted 6.16.1 #1\nCall Trace:\n <TASK>\n "
           "dump_stack_lvl+0x1/0x2\n "
           "panic+0x1/0x2\n check_panic_on_warn.cold+0x1/0x2\n __warn.cold+0x1/0x2\n ? x+0x1/0x2\n "
           "report_bug+0x1/0x2\n "
           "asm_exc_invalid_op+0x1a/0x20\nRIP: 0010:" +
           function + "+0x3c/0x50\n suspend+0x1/0x2\n </TASK>\n";
  };
  const Explanation e = first(text("scx_f"));
  EXPECT_EQ(e.cls, "panic");
  EXPECT_EQ(e.function, "scx_f");
  expect_words(e.summary, {"panic_on_warn", "in scx_f"});
  EXPECT_NE(e.signature, first(text("scx_g")).signature);
}

// The same fall as five architectures print it.
TEST(Explain, EveryArchitecturesOopsHasItsFunction) {
  for (const char* text : {
           "BUG: Kernel NULL pointer dereference on read at 0x00000040\nFaulting instruction address: "
           "0xc0000000001a2f10\n"
           "Oops: Kernel access of bad area, sig: 7 [#1]\nLE PAGE_SIZE=64K MMU=Radix SMP NR_CPUS=2048 NUMA "
           "pSeries\n"
           "CPU: 4 PID: 38 Comm: cpuhp/4 Not tainted 6.12.0 #3\nNIP:  c0000000001a2f10 LR: c0000000001a2ee0 "
           "CTR: "
           "c0000000001a2e90\nNIP [c0000000001a2f10] scx_f+0x80/0x190\nLR [c0000000001a2ee0] "
           "scx_g+0x50/0x190\nCall "
           "Trace:\n[c000000008d3bb40] [c0000000001a2ee0] scx_g+0x50/0x190 (unreliable)\n[c000000008d3bb90] "
           "[c000000000184f8c] outer+0x6c/0xb0\n---[ end trace 0000000000000000 ]---\n",
           "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000118\nOops [#1]\n"
           "CPU: 2 UID: 0 PID: 38 Comm: cpuhp/4 Not tainted 6.12.0 #7\nepc : scx_f+0x3c/0x118\n ra : "
           "outer+0x22/0x60\n"
           "epc : ffffffff800a3c2c ra : ffffffff800a51f2 sp : ff20000000b6bc10\nstatus: 0000000200000100 "
           "badaddr: "
           "0000000000000118 cause: 000000000000000d\n[<ffffffff800a3c2c>] "
           "scx_f+0x3c/0x118\n[<ffffffff800a51f2>] "
           "outer+0x22/0x60\n---[ end trace 0000000000000000 ]---\n",
           "Unable to handle kernel pointer dereference in virtual kernel address space\nFailing address: "
           "0000000000000000 TEID: 0000000000000483\nOops: 0004 ilc:2 [#1] SMP \nCPU: 1 UID: 0 PID: 38 Comm: "
           "cpuhp/4 Not "
           "tainted 6.12.0 #12 NONE \nKrnl PSW : 0404e00180000000 0000031c8a0b5c3e (scx_f+0x2e/0x320)\nCall "
           "Trace:\n "
           "[<0000031c8a0b5c3e>] scx_f+0x2e/0x320 \n [<0000031c8a0b6a2c>] outer+0x13c/0x2e0 \nLast "
           "Breaking-Event-Address:\n",
           "CPU 3 Unable to handle kernel paging request at virtual address 0000000000000030, era == "
           "90000000002e8b14, ra "
           "== 90000000002e8af0\nOops[#1]:\nCPU: 3 UID: 0 PID: 38 Comm: cpuhp/4 Not tainted 6.12.0 #41\npc "
           "90000000002e8b14 ra 90000000002e8af0 tp 9000000108a34000\n   ra: 90000000002e8af0 "
           "outer+0x60/0x400\n  ERA: "
           "90000000002e8b14 scx_f+0x84/0x400\nCall Trace:\n[<90000000002e8b14>] "
           "scx_f+0x84/0x400\n[<90000000002e9f70>] "
           "outer+0x230/0x5a0\n---[ end trace 0000000000000000 ]---\n",
           "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000\nMem abort "
           "info:\n  ESR = "
           "0x0000000096000004\nInternal error: Oops: 0000000096000004 [#1]  SMP\nCPU: 3 UID: 0 PID: 38 "
           "Comm: cpuhp/4 Not "
           "tainted 6.12.0 #41\npstate: 604000c9\npc : scx_f+0x84/0x400\nlr : outer+0x60/0x400\nCall "
           "trace:\n "
           "scx_f+0x84/0x400 (P)\n outer+0x230/0x5a0\n---[ end trace 0000000000000000 ]---\n",
       }) {
    const auto crashes = explained(text);
    ASSERT_EQ(crashes.size(), 1u) << text;
    const Explanation& e = crashes.front();
    EXPECT_EQ(e.cls, "oops") << text;
    EXPECT_EQ(e.function, "scx_f") << text;
    EXPECT_EQ(e.task, "cpuhp/4") << text;
    EXPECT_EQ(e.kernel, "6.12.0") << text;
    EXPECT_EQ(e.signature, "oops: scx_f") << text;
    const bool caller = std::any_of(e.frames.begin(), e.frames.end(),
                                    [](const ChainFrameT& f) { return f.function == "outer"; });
    EXPECT_TRUE(caller) << text;
  }
}

TEST(Explain, AWorkerPoolIsOfAllItsCpus) {
  const Explanation e = first(R"(BUG: workqueue lockup - pool cpus=0-3 node=0 flags=0x4 nice=0 stuck for 62s!
Showing busy workqueues and worker pools:
workqueue events: flags=0x0
  pwq 2: cpus=0-3 node=0 flags=0x0 nice=0 active=1 refcnt=2
    in-flight: 3442:bpf_map_free_deferred
)");
  expect_words(e.summary, {"CPUs 0-3", "62 s", "bpf_map_free_deferred"});
  EXPECT_EQ(e.cpu, -1);
}

TEST(Explain, LockClassNumbersLeaveTheSignature) {
  auto text = [](const std::string& lock) {
    return "WARNING: possible recursive locking detected\n6.12.0 #1 Not tainted\na/16 is trying to acquire "
           "lock:\nffff "
           "(&s->lock" +
           lock + "){+.+.}-{4:4}, at: f+0x1/0x2\nbut task is already holding lock:\nffff (&s->lock" + lock +
           "){+.+.}-{4:4}, at: g+0x1/0x2\n";
  };
  EXPECT_EQ(first(text("#12")).signature, first(text("#7")).signature);
}

// --- pastes

TEST(Explain, APasteThatLostItsLineBreaksIsReadByItsStamps) {
  const Explanation e = first(
      "[22053.942960] BUG: kernel NULL pointer dereference, address: 0000000000000000 [22053.942966] #PF: "
      "supervisor write "
      "access in kernel mode [22053.942972] Oops: 0002 [#1] PREEMPT SMP NOPTI\n[22053.942976] CPU: 6 PID: "
      "3550 Comm: "
      "sched_ext_ops_h Not tainted 6.7.0 #4 [22053.942981] RIP: 0010:scx_f+0x85/0x610\n");
  EXPECT_EQ(e.cls, "oops");
  EXPECT_EQ(e.function, "scx_f");
  EXPECT_EQ(e.task, "sched_ext_ops_h");
}

TEST(Explain, WhatVendorsPutBehindTheStampIsNoText) {
  for (const char* prefix :
       {"[    3.000000] [pid:0,cpu0,swapper/0]", "[    3.000000] [3:  kworker/3:1:  105] ",
        "[    3.000000]  (3)[105:kworker/3:1]", "<4>[    3.000000][  T105] "}) {
    std::string text;
    for (const char* line :
         {"BUG: KASAN: slab-out-of-bounds in f+0x48/0x3b8", "Read of size 8 at addr ffff by task a/9",
          "CPU: 0 UID: 0 PID: 9 Comm: a Not tainted 6.6.89 #1", "Call trace:", " kasan_report+0x90/0xb8",
          " f+0x48/0x3b8"})
      text += std::string(prefix) + line + "\n";
    const Explanation e = first(text);
    EXPECT_EQ(e.cls, "kasan") << text;
    EXPECT_EQ(e.function, "f") << text;
    EXPECT_EQ(e.task, "a") << text;
  }
}

// --- programs

}  // namespace
}  // namespace ktstr
