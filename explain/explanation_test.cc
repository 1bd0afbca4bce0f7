// Texts in the kernel's, libbpf's and runtimes' formats; names and numbers are made up.
#include "explain/explanation.h"

#include <gtest/gtest.h>

#include "base/cpu_list.h"
#include "explain/hang_chain.h"
#include "explain/stall_class.h"
#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::explained;

Explanation first(const std::string& text) {
  auto crashes = explained(text);
  EXPECT_FALSE(crashes.empty()) << text;
  return crashes.empty() ? Explanation{} : crashes.front();
}
void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(text.find(word), std::string::npos) << "\"" << word << "\" in: " << text;
}

// --- stalls

StallFacts waiting(WaitIn where, std::vector<unsigned> allowed, std::vector<CpuFact> cpus) {
  StallFacts f;
  f.comm = "x";
  f.pid = 9;
  f.waited_ns = 5'000'000'000;
  f.any_dump = f.dumped = true;
  f.where = where;
  f.dsq = 0x100;
  f.rq_cpu = 1;
  f.allowed = std::move(allowed);
  f.cpus = std::move(cpus);
  return f;
}
const CpuFact kIdle0{0, CpuDoes::kIdle, "swapper/0[0]", 0}, kIdle1{1, CpuDoes::kIdle, "swapper/1[0]", 0};
const CpuFact kExt0{0, CpuDoes::kExt, "a[2]", 2}, kExt1{1, CpuDoes::kExt, "b[3]", 3},
    kRt1{1, CpuDoes::kRealTime, "rt[4]", 4};

TEST(StallClass, IsNamedByWhatTheAllowedCpusDo) {
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {0, 1}, {kIdle0, kExt1})).what),
            "dsq-not-consumed");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {1}, {kIdle0, kExt1})).what),
            "dsq-not-served");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {1}, {kIdle1, kExt0})).what),
            "dsq-not-consumed");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {0, 1}, {kExt0, kExt1})).what),
            "dsq-busy");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {0, 1}, {kExt0, kIdle1})).what),
            "local-no-kick");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {0, 1}, {kIdle0, kExt1})).what),
            "local-dsq");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {1}, {kIdle0, kRt1})).what),
            "cpu-taken");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kScheduler, {0, 1}, {kIdle0, kRt1})).what),
            "held-by-scheduler");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kScheduler, {0, 1}, {kExt0, kRt1})).what),
            "cpu-taken");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kBypassDsq, {0, 1}, {kExt0, kExt1})).what),
            "bypass");
}

TEST(StallClass, WithoutFactsNothingIsClaimed) {
  StallFacts f;
  f.comm = "x";
  f.pid = 9;
  f.waited_ns = 5'000'000'000;
  const StallVerdict verdict = classify_stall(f);
  EXPECT_EQ(verdict.what, StallClass::kUnknown);
  EXPECT_FALSE(verdict.lacks.empty());
  EXPECT_TRUE(stall_advice(verdict.what).empty());
  EXPECT_EQ(verdict.sentence.find("DSQ"), std::string::npos);
}

TEST(StallClass, MasksAndPerCpuThreads) {
  EXPECT_EQ(parse_cpu_mask("0200"), std::vector<unsigned>{9});
  EXPECT_EQ(parse_cpu_mask("1,00000001"), (std::vector<unsigned>{0, 32}));
  EXPECT_TRUE(parse_cpu_mask("xyz").empty());
  EXPECT_EQ(bound_by_name("kworker/10:1H"), 10);
  EXPECT_EQ(bound_by_name("kworker/u64:4"), -1);
  EXPECT_EQ(bound_by_name("ksoftirqd/2"), 2);
  EXPECT_EQ(bound_by_name("firefox/2"), -1);
}

TEST(Explain, ADumpInTheKernelsLogAndTheSchedulersOutputIsOneCrash) {
  const auto crashes = explained(R"([  100.000001] sched_ext: BPF scheduler "demo_1.0" enabled
[  130.000001] sched_ext: BPF scheduler "demo_1.0" disabled (runnable task stall)
[  130.000002] sched_ext: demo_1.0: Web Content[77] failed to run for 30.250s
[  130.000003]    scx_watchdog_workfn+0x18d/0x220
demo_1.0: root
kworker/u8:1[12] triggered exit kind 1026 on CPU 2:
  runnable task stall (Web Content[77] failed to run for 30.250s)

Backtrace:
  scx_watchdog_workfn+0x18d/0x220

CPU states
----------

CPU 0   : nr_run=1 flags=0x1 cpu_rel=0 ops_qseq=146 pnt_seq=4623
          curr=swapper/0[0] class=idle_sched_class

  R Web Content[77] -30250ms
      scx_state/flags=3/0x9 dsq_flags=0x0 ops_state/qseq=0/0
      sticky/holding_cpu=-1/-1 dsq_id=0x7
      cpus=3

EXIT: runnable task stall (Web Content[77] failed to run for 30.250s)
Error: EXIT: runnable task stall (Web Content[77] failed to run for 30.250s)
)");
  ASSERT_EQ(crashes.size(), 1u);
  EXPECT_EQ(crashes[0].cls, "stall/dsq-not-consumed");
  EXPECT_EQ(crashes[0].task, "Web Content");
  expect_words(crashes[0].summary, {"DSQ 0x7", "CPU 0", "idle", "30.2 s"});
  expect_words(crashes[0].signature, {"[demo]"});
}

TEST(Explain, OrderlyEndsAreNoCrash) {
  EXPECT_TRUE(explained("sched_ext: BPF scheduler \"x\" disabled (unregistered from user space)\nEXIT: "
                        "unregistered from user space\n")
                  .empty());
  EXPECT_TRUE(
      explained("libbpf: struct_ops x: member a not found in kernel, skipping it as it's set to zero\n")
          .empty());
}

// --- errors

TEST(Explain, ErrnosAreNamed) {
  expect_words(first("sched_ext: BPF scheduler \"x\" disabled (runtime error)\nsched_ext: x: ops.init_task() "
                     "failed (-12) for a[3] while forking\n")
                   .summary,
               {"ops.init_task() failed", "ENOMEM"});
  expect_words(first("sched_ext: BPF scheduler \"x\" disabled (runtime error)\nsched_ext: x: invalid DSQ ID "
                     "0xfffffffffffffffe\n")
                   .summary,
               {"-2", "ENOENT", "taken for an id"});
}

TEST(Explain, AnotherProgramsErrorIsNotTheRunningSchedulers) {
  const Explanation e = first(R"([   10.000001] sched_ext: BPF scheduler "lavd_1.0" enabled
[   20.000001] sched_ext: BPF scheduler "lavd_1.0" disabled (scx_bpf_error)
[   20.000002] sched_ext: lavd_1.0: /b/scx_other-0123456789abcdef/out/lib/x.h:7: no entry
)");
  expect_words(e.summary, {"no entry", "x.h:7", "scx_other", "not by the running scheduler lavd"});
}

TEST(Explain, BuildPathsSuffixesVersionsAndTasksLeaveTheSignature) {
  auto text = [](const std::string& task, const std::string& path, const std::string& suffix) {
    return task + "[12] triggered exit kind 1025:\n  scx_bpf_error (" + path +
           "main.bpf.c:12: no context for " + task +
           "[12])\n\nBacktrace:\n  scx_bpf_error_bstr+0x65/0x80\n  "
           "bpf_prog_0123456789abcdef_x_enqueue+0x1/0x2\n  do_enqueue_task" +
           suffix + "+0x1/0x2\n";
  };
  EXPECT_EQ(first(text("a", "/home/u/1/", "")).signature,
            first(text("Web Content", "src/bpf/", ".llvm.1234")).signature);
}

// --- the kernel

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

TEST(Explain, WhatTheKernelLacksIsNamed) {
  struct Row {
    const char* text;
    const char* cls;
    std::vector<std::string> words;
  };
  const Row rows[] = {
      {"libbpf: failed to open system Kconfig\nlibbpf: failed to load BPF skeleton 'x': -EINVAL\nError: "
       "Failed to load BPF "
       "program\n\nCaused by:\n    Invalid argument (os error 22)\n",
       "load/no-kconfig",
       {"configuration of the running kernel"}},
      {"Error: Failed to load BPF program\n\nCaused by:\n    Invalid argument (os error 22)\n",
       "load/other",
       {"did not load: Invalid argument (os error 22)"}},
      {"libbpf: prog 'x_init': -- BEGIN PROG LOAD LOG --\nldimm64 failed to find the address for kernel "
       "symbol "
       "'some_var'.\nprocessed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
       "mark_read 0\n-- "
       "END PROG LOAD LOG --\nlibbpf: prog 'x_init': failed to load: -2\n",
       "load/kernel-symbol",
       {"x_init", "some_var"}},
      {"libbpf: extern (func ksym) 'scx_bpf_f': func_proto [18] incompatible with vmlinux [60]\nlibbpf: "
       "failed to load BPF "
       "skeleton 'x': -EINVAL\n",
       "load/kfunc",
       {"scx_bpf_f", "prototype"}},
      {"Error: the running kernel's BTF has malformed scx kfunc prototype(s)\n",
       "load/kfunc",
       {"kfuncs", "prototype"}},
      {"libbpf: struct_ops init_kern x_ops: struct sched_ext_ops is not found in kernel BTF\nlibbpf: failed "
       "to load object "
       "'x'\nlibbpf: failed to load BPF skeleton 'x': -2\n",
       "load/no-sched-ext",
       {"no sched_ext"}},
      {"libbpf: prog 'x': failed to find kernel BTF type ID of 'some_function': -3\nlibbpf: failed to load "
       "BPF skeleton "
       "'x': -3\n",
       "load/btf-type",
       {"some_function"}},
      {"libbpf: prog 'x_exit': -- BEGIN PROG LOAD LOG --\n; x = ei->kind; @ x.bpf.h:61\n23: <invalid CO-RE "
       "relocation>\nfailed to resolve CO-RE relocation <byte_off> [33] struct scx_exit_info.kind (0:0 @ "
       "offset 0)\n"
       "processed 20 insns (limit 1000000)\n-- END PROG LOAD LOG --\n",
       "load/btf-type",
       {"struct scx_exit_info.kind", "x.bpf.h:61"}},
  };
  for (const Row& row : rows) {
    const Explanation e = first(row.text);
    EXPECT_EQ(e.cls, row.cls) << row.text;
    expect_words(e.summary, row.words);
    EXPECT_FALSE(e.advice.empty()) << row.text;
  }
}

TEST(Explain, AProbeThatIsBusyIsNoOtherScheduler) {
  for (const char* text : {"Error: Failed to attach non-struct_ops BPF programs\n\nCaused by:\n    Device or "
                           "resource busy (os error 16)\n",
                           "libbpf: prog 'x_probe': failed to attach: -EBUSY\nlibbpf: prog 'x_probe': failed "
                           "to auto-attach: -EBUSY\n"}) {
    const Explanation e = first(text);
    EXPECT_EQ(e.cls, "load/probe-attach");
    EXPECT_EQ(e.summary.find("another"), std::string::npos) << e.summary;
  }
  EXPECT_EQ(first("libbpf: map 'x_ops': failed to auto-attach: -EBUSY\n").cls, "load/busy");
}

TEST(Explain, AnAttachThatIsRefusedPointsAtTheKernelsLog) {
  const Explanation e =
      first("Error: Failed to attach struct ops\n\nCaused by:\n    Invalid argument (os error 22)\n");
  expect_words(e.summary, {"did not attach", "Invalid argument"});
  expect_words(e.advice, {"dmesg"});
}

TEST(Explain, DebuggersSayWhereAProgramFell) {
  struct Row {
    const char* text;
    const char* signal;
    const char* function;
  };
  for (const Row& row : std::vector<Row>{
           {"           PID: 2291 (scx_x)\n        Signal: 11 (SEGV)\n    Executable: /usr/bin/scx_x\n       "
            "Message: "
            "Process 2291 (scx_x) of user 0 dumped core.\n\n                Stack trace of thread 2291:\n    "
            "            #0  "
            "0x000055d0a8b1c2f4 _ZN5scx_x9Scheduler3run17h0a1b2c3d4e5f6071E (scx_x + 0x11c2f4)\n             "
            "   #1  "
            "0x000055d0a8b1d7aa main (scx_x + 0x11d7aa)\n",
            "SIGSEGV", "scx_x::Scheduler::run"},
           {"Thread 1 \"scx_x\" received signal SIGABRT, Aborted.\n#0  0x00007ffff7c969fc in pthread_kill () "
            "from "
            "/lib/libc.so.6\n#1  0x00007ffff7c42476 in raise () from /lib/libc.so.6\n#2  0x0000555555561234 "
            "in "
            "read_topology (path=0x0) at topology.c:88\n",
            "SIGABRT", "read_topology"},
           {"* thread #1, name = 'scx_x', stop reason = signal SIGABRT\n  * frame #0: 0x00007b7dee3df7bb "
            "ld-musl-x86_64.so.1`__restore_sigs + 10\n    frame #1: 0x00005dc5307f607a scx_x`rust_panic + "
            "111\n    frame #2: "
            "0x00005dc530810b83 scx_x`core::cell::panic_already_borrowed::h20c4591625b81293 + 83\n    frame "
            "#3: "
            "0x00005dc5306dd214 scx_x`scx_x::alloc::grow::h00c4591625b81293 + 20\n",
            "SIGABRT", "scx_x::alloc::grow"}}) {
    const auto crashes = explained(row.text);
    ASSERT_EQ(crashes.size(), 1u) << row.text;
    EXPECT_EQ(crashes[0].cls, "user/signal");
    EXPECT_EQ(crashes[0].function, row.function);
    expect_words(crashes[0].summary, {"scx_x", row.signal, row.function});
  }
  expect_words(
      first("* thread #1, name = 'scx_x', stop reason = signal SIGABRT\n    frame #1: 0x00005dc530810b83 "
            "scx_x`core::panicking::panic_fmt::h20c4591625b81293 + 83\n    frame #2: 0x00005dc530810b83 "
            "scx_x`core::cell::panic_already_borrowed::h20c4591625b81293 + 83\n")
          .summary,
      {"already_borrowed"});
  EXPECT_TRUE(
      explained("Process 12 (steam) of user 1000 dumped core.\n#0 0x00007 f (steam + 0x1)\n").empty());
}

TEST(Explain, AnOrderlyExitBeforeItIsToldWithAPanic) {
  const Explanation e = first(
      "EXIT: unregistered from the main kernel (cpu 7 going offline, exiting scheduler)\n12:03:07 [INFO] "
      "Unregister "
      "scx_x\nthread 'main' panicked at src/main.rs:615:74:\nno topology\n");
  EXPECT_EQ(e.cls, "user/panic");
  ASSERT_FALSE(e.evidence.empty());
  expect_words(e.evidence.front(), {"in order", "cpu 7 going offline"});
}

TEST(Explain, LoadFailuresWeighAllCauses) {
  const Explanation e = first(R"(libbpf: Error in bpf_create_map_xattr(x): -EINVAL. Retrying without BTF.
libbpf: struct_ops init_kern x_ops: Cannot find member cgroup_init in kernel BTF
libbpf: failed to load object 'x_bpf'
libbpf: failed to load BPF skeleton 'x_bpf': -EOPNOTSUPP
Error: Failed to load BPF program
Caused by:
    Operation not supported (os error 95)
)");
  EXPECT_EQ(e.cls, "load/member");
  expect_words(e.summary, {"cgroup_init"});
  EXPECT_EQ(
      first("libbpf: map 'big': failed to create: -E2BIG\nlibbpf: failed to load BPF skeleton 'x': -7\n").cls,
      "load/map");
  EXPECT_EQ(
      first("libbpf: Failed to attach struct_ops x_ops: -EBUSY\nError: Failed to attach struct ops\n").cls,
      "load/busy");
  EXPECT_EQ(first("libbpf: failed to load BPF skeleton 'x': -EPERM\n").cls, "load/permission");
}

TEST(Explain, AnAttachRefusedWithE2bigNamesTheLimits) {
  for (const char* text :
       {"Error: cannot attach the scheduler: Argument list too long\n",
        "libbpf: Failed to attach struct_ops x_ops: -E2BIG\nError: Failed to attach struct ops\n",
        "Error: Failed to attach struct ops\n\nCaused by:\n    Argument list too long (os error 7)\n"}) {
    const Explanation e = first(text);
    EXPECT_EQ(e.cls, "load/ops-limit") << text;
    expect_words(e.summary, {"timeout_ms", "30000"});
  }
}

TEST(Explain, AnAttachRefusedWithEinvalNamesTheMembersThatAreRefusedInSilence) {
  for (const char* text :
       {"Error: cannot attach the scheduler: Invalid argument\n",
        "libbpf: Failed to attach struct_ops x_ops: -EINVAL\nError: Failed to attach struct ops\n",
        "Error: Failed to attach struct ops\n\nCaused by:\n    Invalid argument (os error 22)\n"}) {
    const Explanation e = first(text);
    EXPECT_EQ(e.cls, "load/ops-value") << text;
    expect_words(e.summary, {"EINVAL", "flags", "name"});
  }
  // A load that fails with it has another reason.
  EXPECT_NE(first("libbpf: failed to load BPF skeleton 'x': -EINVAL\n").cls, "load/ops-value");
}

TEST(Explain, ObjectionsOfTheVerifierHaveAdvice) {
  const std::pair<const char*, const char*> kObjections[] = {
      {"1: (79) r1 = *(u64 *)(r1 +8)\ninvalid bpf_context access off=8 size=8", "compare its parameters"},
      {"9: (85) call bpf_map_push_elem#87\ncannot pass map_type 1 into func bpf_map_push_elem#87",
       "queues and stacks"},
  };
  for (const auto& [objection, advice] : kObjections)
    expect_words(first(std::string("libbpf: prog 'x_running': BPF program load failed: Permission denied\n"
                                   "libbpf: prog 'x_running': -- BEGIN PROG LOAD LOG --\n") +
                       objection + "\nprocessed 2 insns\nlibbpf: prog 'x_running': -- END PROG LOAD LOG --\n")
                     .advice,
                 {advice});
}

// The rest of a verifier's log that is too long for whoever kept it.
TEST(Explain, AVerifierLogThatEndsInE2bigIsOfAProgramThatIsTooLarge) {
  const Explanation e = first(R"(libbpf: prog 'x_dispatch': BPF program load failed: Argument list too long
libbpf: prog 'x_dispatch': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
; for (__u64 j = 0; j < total; ++j) @ x.bpf.c:14
16: (af) r2 ^= r1                     ; R1=2989 R2=scalar()
17: (07) r1 += 1                      ; R1=2990
)");
  EXPECT_EQ(e.cls, "load/too-large");
  expect_words(e.summary, {"x_dispatch", "too large"});
  expect_words(e.evidence.empty() ? "" : e.evidence.front() + e.evidence.back(), {"x.bpf.c:14"});
}

TEST(Explain, EndsOfPrograms) {
  struct Row {
    const char* text;
    const char* cls;
    std::vector<std::string> words;
  };
  const Row rows[] = {
      {"thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 9', "
       "src/stats.rs:12:5\n",
       "user/panic",
       {"stats.rs:12", "index out of bounds"}},
      {"thread 'tokio-worker' panicked at src/a/b.rs:7:9:\nassertion `left == right` failed\n  left: 1\n "
       "right: 2\nnote: run with x\n",
       "user/panic",
       {"b.rs:7", "left == right", "right: 2"}},
      {"Error: Failed to read topology\n\nCaused by:\n    0: opening /sys/x\n    1: No such file or "
       "directory (os error 2)\n",
       "user/error",
       {"Failed to read topology: opening /sys/x: No such file"}},
      {"terminate called after throwing an instance of 'std::out_of_range'\n  what():  map::at\nAborted "
       "(core dumped)\n",
       "user/abort",
       {"std::out_of_range", "map::at"}},
      {"scx_x: main.c:41: init: Assertion `nr_cpus > 0' failed.\n",
       "user/abort",
       {"main.c:41", "nr_cpus > 0", "init"}},
      {"free(): double free detected in tcache 2\n", "user/abort", {"double free"}},
      {"[   12.000000] scx_x[114]: segfault at 0 ip 0000563 sp 00007f error 4 in scx_x[1000+2]\n",
       "user/signal",
       {"scx_x", "SIGSEGV"}},
      {"==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x60\n",
       "user/sanitizer",
       {"heap-use-after-free"}},
  };
  for (const Row& row : rows) {
    const Explanation e = first(row.text);
    EXPECT_EQ(e.cls, row.cls) << row.text;
    expect_words(e.summary, row.words);
  }
}

TEST(Explain, OrdinaryOutputIsNoCrash) {
  EXPECT_TRUE(
      explained("Error rate: 0.1\nfinished in 12ms\ncompiled x [3] in +12ms\nCPU 3 is hot\nno BUG here\n")
          .empty());
  EXPECT_TRUE(explained("[    1.000000] Linux version 7.1.0\n[    2.000000] steam[12]: segfault at 0 ip 00 "
                        "sp 00 error 4 in steam\n")
                  .empty());
}

}  // namespace
}  // namespace ktstr
