// The texts follow the kernel's print formats; addresses and names are made up.
#include "scx/kernel_fault_parser.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "schemas/crash_generated.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {
namespace {

std::vector<ReadFault> parse(const std::string& console) {
  KernelFaultParser parser;
  std::istringstream in(console);
  for (std::string line; std::getline(in, line);) {
    const StampedText stamped = split_stamp(line);
    parser.feed(stamped.text, stamped.guest_ns);
  }
  parser.finish();
  std::vector<ReadFault> faults;
  while (auto fault = parser.take()) faults.push_back(std::move(*fault));
  return faults;
}

constexpr char kOops[] = R"([    5.000001] BUG: kernel NULL pointer dereference, address: 0000000000000018
[    5.000002] #PF: supervisor read access in kernel mode
[    5.000003] #PF: error_code(0x0000) - not-present page
[    5.000004] PGD 0 P4D 0
[    5.000005] Oops: Oops: 0000 [#1] SMP NOPTI
[    5.000006] CPU: 2 UID: 0 PID: 117 Comm: cg_0/1 x Not tainted 7.3.4-test #1 PREEMPT(lazy)
[    5.000007] Hardware name: QEMU Standard PC
[    5.000008] RIP: 0010:task_can_run+0x12/0x80
[    5.000009] Code: 00 00 90 90
[    5.000010] RSP: 0018:ffff88800400bd08 EFLAGS: 00010046
[    5.000011] Call Trace:
[    5.000012]  <IRQ>
[    5.000013]  try_to_wake_up+0x25b/0x750
[    5.000014]  ? update_load_avg+0x7f/0x7e0
[    5.000015]  </IRQ>
[    5.000016]  <TASK>
[    5.000017]  asm_sysvec_apic_timer_interrupt+0x1a/0x20
[    5.000018] RIP: 0033:0x4011a6
[    5.000019] Code: 00 00
[    5.000020]  </TASK>
[    5.000021] ---[ end trace 0000000000000000 ]---
[    5.000022] RIP: 0010:task_can_run+0x12/0x80
[    5.000023] Kernel panic - not syncing: Fatal exception in interrupt
)";

TEST(KernelFaultParser, OopsWithItsPanicIsOneFault) {
  const auto faults = parse(kOops);
  ASSERT_EQ(faults.size(), 1u);
  const KernelFaultT& fault = faults[0].fault;
  EXPECT_EQ(fault.kind, FaultKind::Oops);
  EXPECT_EQ(fault.title, "NULL pointer dereference");
  EXPECT_EQ(fault.message, "BUG: kernel NULL pointer dereference, address: 0000000000000018");
  EXPECT_EQ(fault.function, "task_can_run");
  EXPECT_EQ(fault.task_comm, "cg_0/1 x");
  EXPECT_EQ(fault.task_pid, 117);
  EXPECT_EQ(fault.cpu, 2);
  EXPECT_EQ(fault.kernel, "7.3.4-test");
  EXPECT_TRUE(fault.taint.empty());
  EXPECT_EQ(fault.panic, "Fatal exception in interrupt");
  EXPECT_EQ(faults[0].guest_ns, 5'000'001'000u);
  ASSERT_EQ(fault.backtrace.size(), 4u);
  EXPECT_EQ(fault.backtrace[0]->function, "task_can_run");
  EXPECT_TRUE(fault.backtrace[2]->uncertain);
  EXPECT_EQ(fault.backtrace[3]->function, "asm_sysvec_apic_timer_interrupt");
  EXPECT_FALSE(fault.jump_to_null);
  EXPECT_FALSE(fault.measures_time);
}

TEST(KernelFaultParser, PanicAlone) {
  const auto faults =
      parse(R"([    1.703943] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    1.715095] CPU: 1 UID: 0 PID: 1 Comm: swapper/0 Not tainted 7.3.4 #1
[    1.715514] Call Trace:
[    1.715918]  <TASK>
[    1.716158]  dump_stack_lvl+0x5d/0x80
[    1.716363]  vpanic+0x166/0x360
[    1.716856]  </TASK>
)");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].fault.kind, FaultKind::Panic);
  EXPECT_EQ(faults[0].fault.task_pid, 1);
  EXPECT_EQ(faults[0].fault.backtrace.size(), 2u);
}

TEST(KernelFaultParser, Lockups) {
  const auto soft =
      parse("[   30.0] \n[   30.000000] watchdog: BUG: soft lockup - CPU#13 stuck for 22s! [cg_0/1:412]\n");
  ASSERT_EQ(soft.size(), 1u);
  EXPECT_EQ(soft[0].fault.kind, FaultKind::SoftLockup);
  EXPECT_EQ(soft[0].fault.cpu, 13);
  EXPECT_EQ(soft[0].fault.task_comm, "cg_0/1");
  EXPECT_EQ(soft[0].fault.task_pid, 412);
  EXPECT_TRUE(soft[0].fault.measures_time);
  const auto rcu = parse(
      "[   30.000000] rcu: INFO: rcu_preempt self-detected stall on CPU\n"
      "[   30.000001] rcu: \t3-....: (25906 ticks this GP) idle=70bc/0/0x1\n");
  ASSERT_EQ(rcu.size(), 1u);
  EXPECT_EQ(rcu[0].fault.kind, FaultKind::RcuStall);
  EXPECT_EQ(rcu[0].fault.cpu, 3);
  const auto hard = parse("[   30.000000] watchdog: Watchdog detected hard LOCKUP on cpu 7\n");
  ASSERT_EQ(hard.size(), 1u);
  EXPECT_EQ(hard[0].fault.kind, FaultKind::HardLockup);
  EXPECT_EQ(hard[0].fault.cpu, 7);
  const auto hung = parse("[  130.000000] INFO: task kworker/0:1:30 blocked for more than 120 seconds.\n");
  ASSERT_EQ(hung.size(), 1u);
  EXPECT_EQ(hung[0].fault.kind, FaultKind::HungTask);
  EXPECT_EQ(hung[0].fault.task_comm, "kworker/0:1");
  EXPECT_EQ(hung[0].fault.task_pid, 30);
}

TEST(KernelFaultParser, HungTasksAreOneFaultWithEveryStack) {
  const auto faults = parse(R"(INFO: task kthreadd:2 blocked for more than 120 seconds.
      Not tainted 6.18.0 #2
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:kthreadd        state:D stack:0     pid:2     tgid:2     ppid:0      flags:0x00004000
Sched_ext: simple (disabling)
Call Trace:
 <TASK>
 __schedule+0x47e/0x19d0
 ? __this_cpu_preempt_check+0x17/0x20
 scx_pre_fork+0xd1/0xf0
 </TASK>
INFO: task fs x:95 blocked for more than 121 seconds.
task:fs x            state:D stack:0     pid:95    tgid:95    ppid:2      flags:0x00004000
Call Trace:
 <TASK>
 mutex_lock+0x1/0x2
 </TASK>
INFO: task fs x:95 is blocked on a mutex likely owned by task a/b c:300.
Showing all locks held in the system:
1 lock held by fs x/95:
 #0: ffff888100a (&wq->mutex){+.+.}-{3:3}, at: f+0x1/0x2
)");
  ASSERT_EQ(faults.size(), 1u);
  const KernelFaultT& fault = faults[0].fault;
  EXPECT_EQ(fault.ops_name, "simple");
  EXPECT_EQ(fault.ops_state, "disabling");
  EXPECT_EQ(fault.kernel, "6.18.0");
  ASSERT_EQ(fault.tasks.size(), 2u);
  ASSERT_EQ(fault.tasks[0]->backtrace.size(), 3u);
  EXPECT_EQ(fault.tasks[0]->backtrace[2]->function, "scx_pre_fork");
  EXPECT_EQ(fault.tasks[0]->seconds, 120u);
  EXPECT_EQ(fault.tasks[1]->comm, "fs x");
  EXPECT_EQ(fault.tasks[1]->state, "D");
  EXPECT_EQ(fault.tasks[1]->blocked_on, "mutex");
  EXPECT_EQ(fault.tasks[1]->owner_comm, "a/b c");
  EXPECT_EQ(fault.tasks[1]->owner_pid, 300);
  EXPECT_EQ(fault.tasks[1]->locks, std::vector<std::string>{"&wq->mutex"});
  EXPECT_EQ(fault.tasks[1]->backtrace.size(), 1u);
}

TEST(KernelFaultParser, WarningsOfOldAndNewKernels) {
  const auto old = parse(R"([    1.000000] ------------[ cut here ]------------
[    1.000001] refcount_t: underflow; use-after-free.
[    1.000002] WARNING: CPU: 3 PID: 9 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
[    1.000003] Modules linked in: a b
[    1.000004] CPU: 3 UID: 0 PID: 9 Comm: scx_x Tainted: G        W           6.17.0-5 #1 PREEMPT(full)
[    1.000005] Tainted: [W]=WARN
[    1.000006] Sched_ext: lavd (enabled+all), task: runnable_at=+0ms
[    1.000007] RIP: 0010:refcount_warn_saturate+0xba/0x110
[    1.000008] Call Trace:
[    1.000009]  <TASK>
[    1.000010]  scx_put+0x1/0x2 [mod]
[    1.000011]  </TASK>
[    1.000012] ---[ end trace 0000000000000000 ]---
[    1.000013] Kernel panic - not syncing: Attempted to kill init!
)");
  ASSERT_EQ(old.size(), 2u);  // a panic that does not follow from the warning
  const KernelFaultT& fault = old[0].fault;
  EXPECT_EQ(fault.kind, FaultKind::Warning);
  EXPECT_EQ(fault.message, "refcount_t: underflow; use-after-free.");
  EXPECT_EQ(fault.file, "lib/refcount.c");
  EXPECT_EQ(fault.line, 28u);
  EXPECT_EQ(fault.function, "refcount_warn_saturate");
  EXPECT_EQ(fault.taint, "GW");
  EXPECT_EQ(fault.kernel, "6.17.0-5");
  EXPECT_EQ(fault.ops_name, "lavd");
  EXPECT_EQ(fault.ops_state, "enabled+all");
  EXPECT_EQ(fault.backtrace.size(), 2u);
  EXPECT_EQ(old[1].fault.kind, FaultKind::Panic);
  const auto now = parse(
      "WARNING: [!p->scx.flags] kernel/sched/ext.c:1273 at scx_commit+0xf2/0x120 [mod], CPU#10: "
      "a/b#1/4554\n");
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now[0].fault.function, "scx_commit");
  EXPECT_EQ(now[0].fault.file, "kernel/sched/ext.c");
  EXPECT_EQ(now[0].fault.cpu, 10);
  EXPECT_EQ(now[0].fault.task_comm, "a/b#1");
  EXPECT_EQ(now[0].fault.task_pid, 4554);
}

TEST(KernelFaultParser, LockdepNamesTheLocks) {
  const auto faults = parse(R"(======================================================
WARNING: possible circular locking dependency detected
7.1.0-rc2 #4 Not tainted
------------------------------------------------------
scx_rustland/1622 is trying to acquire lock:
ffffffff8325f828 (cpu_hotplug_lock){++++}-{0:0}, at: bpf_scx_reg+0xe4/0xcf0

but task is already holding lock:
ffffffff83271be8 (scx_cgroup_rwsem){++++}-{0:0}, at: bpf_scx_reg+0xdf/0xcf0

which lock already depends on the new lock.

the existing dependency chain (in reverse order) is:

-> #1 (scx_cgroup_rwsem){++++}-{0:0}:
       percpu_down_read+0x2e/0xb0
       scx_cgroup_can_attach+0x25/0x200

stack backtrace:
CPU: 2 UID: 0 PID: 1622 Comm: scx_rustland Not tainted 7.1.0-rc2 #4
Call Trace:
 <TASK>
 dump_stack_lvl+0x64/0xb0
 bpf_scx_reg+0xe4/0xcf0
 </TASK>
)");
  ASSERT_EQ(faults.size(), 1u);
  const KernelFaultT& fault = faults[0].fault;
  EXPECT_EQ(fault.kind, FaultKind::Lockdep);
  EXPECT_EQ(fault.title, "possible circular locking dependency detected");
  EXPECT_EQ(fault.lock, "cpu_hotplug_lock");
  EXPECT_EQ(fault.lock_held, "scx_cgroup_rwsem");
  EXPECT_EQ(fault.function, "bpf_scx_reg");
  EXPECT_EQ(fault.task_comm, "scx_rustland");
  EXPECT_EQ(fault.kernel, "7.1.0-rc2");
  EXPECT_EQ(fault.cpu, 2);
  EXPECT_EQ(fault.backtrace.size(), 2u);  // not the stacks of the chain

  const auto rcu = parse(R"(=============================
WARNING: suspicious RCU usage
7.1.0-rc2 #4 Not tainted
-----------------------------
kernel/sched/ext.c:5012 suspicious rcu_dereference_check() usage!
)");
  ASSERT_EQ(rcu.size(), 1u);
  EXPECT_EQ(rcu[0].fault.kind, FaultKind::Lockdep);
  EXPECT_EQ(rcu[0].fault.file, "kernel/sched/ext.c");
  EXPECT_EQ(rcu[0].fault.line, 5012u);
  const auto state = parse(R"(WARNING: inconsistent lock state
inconsistent {IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage.
runner/96 [HC0[0]:SC0[0]:HE1:SE1] takes:
ffff0000fb5f4858 (&rq->__lock){?.-.}-{2:2}, at: raw_spin_rq_lock_nested+0x2c/0x50
)");
  ASSERT_EQ(state.size(), 1u);
  EXPECT_EQ(state[0].fault.title, "inconsistent lock state");
  EXPECT_EQ(state[0].fault.lock, "&rq->__lock");
  EXPECT_EQ(state[0].fault.task_comm, "runner");
}

TEST(KernelFaultParser, Sanitizers) {
  const auto kasan = parse(R"(BUG: KASAN: slab-use-after-free in scx_task_iter_next+0x1/0x2
Read of size 8 at addr ffff888100a by task scx x/77

CPU: 1 UID: 0 PID: 77 Comm: scx x Not tainted 7.2.0 #1
Call Trace:
 <TASK>
 kasan_report+0x1/0x2
 scx_task_iter_next+0x1/0x2
 </TASK>

Allocated by task 12:
 kasan_save_stack+0x1/0x2
)");
  ASSERT_EQ(kasan.size(), 1u);
  EXPECT_EQ(kasan[0].fault.kind, FaultKind::Kasan);
  EXPECT_EQ(kasan[0].fault.title, "slab-use-after-free");
  EXPECT_EQ(kasan[0].fault.function, "scx_task_iter_next");
  EXPECT_EQ(kasan[0].fault.task_comm, "scx x");
  EXPECT_EQ(kasan[0].fault.backtrace.size(), 2u);
  const auto ubsan = parse(
      "UBSAN: array-index-out-of-bounds in kernel/sched/ext.c:812:9\nindex 9 is out of range for type 'int "
      "[4]'\n");
  ASSERT_EQ(ubsan.size(), 1u);
  EXPECT_EQ(ubsan[0].fault.kind, FaultKind::Ubsan);
  EXPECT_EQ(ubsan[0].fault.file, "kernel/sched/ext.c");
  EXPECT_NE(ubsan[0].fault.message.find("index 9"), std::string::npos);
  const auto kfence = parse(R"(BUG: KFENCE: use-after-free read in scx_exit_task+0x1/0x2

Use-after-free read at 0x00000000a (in kfence-#81):
 scx_exit_task+0x1/0x2
 sched_ext_free+0x1/0x2
)");
  ASSERT_EQ(kfence.size(), 1u);
  EXPECT_EQ(kfence[0].fault.kind, FaultKind::Kfence);
  EXPECT_EQ(kfence[0].fault.backtrace.size(), 2u);
}

TEST(KernelFaultParser, AtomicContextAndLists) {
  const auto atomic = parse("BUG: scheduling while atomic: scx/a b/77/0x00000002\n");
  ASSERT_EQ(atomic.size(), 1u);
  EXPECT_EQ(atomic[0].fault.kind, FaultKind::SleepInAtomic);
  EXPECT_EQ(atomic[0].fault.task_comm, "scx/a b");
  EXPECT_EQ(atomic[0].fault.task_pid, 77);
  const auto sleep = parse(R"(BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585
in_atomic(): 1, irqs_disabled(): 1, non_block: 0, pid: 12, name: kworker/1:0
)");
  ASSERT_EQ(sleep.size(), 1u);
  EXPECT_EQ(sleep[0].fault.task_comm, "kworker/1:0");
  EXPECT_EQ(sleep[0].fault.line, 585u);
  const auto list = parse(R"(list_del corruption. prev->next should be ffff888, but was 0000. (prev=ffff888)
------------[ cut here ]------------
kernel BUG at lib/list_debug.c:62!
Oops: invalid opcode: 0000 [#1] SMP NOPTI
CPU: 0 UID: 0 PID: 9 Comm: x Not tainted 7.2.0 #1
RIP: 0010:__list_del_entry_valid_or_report+0x1/0x2
Call Trace:
 dispatch_dequeue+0x1/0x2
)");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].fault.title, "list_del corruption");
  EXPECT_EQ(list[0].fault.kind, FaultKind::KernelBug);
  EXPECT_EQ(list[0].fault.backtrace.size(), 2u);
}

TEST(KernelFaultParser, Arm64) {
  const auto faults =
      parse(R"([    9.000001] Unable to handle kernel paging request at virtual address 007265736e695f71
[    9.000002] Mem abort info:
[    9.000003]   ESR = 0x0000000096000004
[    9.000004] Internal error: Oops: 0000000096000004 [#1] SMP
[    9.000005] CPU: 0 UID: 0 PID: 1679 Comm: sched_ext_helpe Not tainted 6.18.19 #1 PREEMPT(voluntary)
[    9.000006] pc : string+0x5c/0x118
[    9.000007] lr : vsnprintf+0x1b0/0x5a8
[    9.000008] Call trace:
[    9.000009]  string+0x5c/0x118 (P)
[    9.000010]  sprint_symbol+0x20/0x38
[    9.000011] Code: 91000400
[    9.000012] ---[ end trace 0000000000000000 ]---
[    9.000013] Kernel panic - not syncing: Oops: Fatal exception
)");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].fault.function, "string");
  EXPECT_EQ(faults[0].fault.panic, "Oops: Fatal exception");
  EXPECT_EQ(faults[0].fault.backtrace.size(), 2u);
}

TEST(KernelFaultParser, DecodedFramesNameTheFunctionNotTheInlinedOnes) {
  const auto faults = parse(
      R"(WARNING: CPU: 0 PID: 12 at kernel/sched/ext.c:3246 rq_lock_irqsave kernel/sched/sched.h:1753 [inline]
WARNING: CPU: 0 PID: 12 at kernel/sched/ext.c:3246 scx_bypass+0x302/0x330 kernel/sched/ext.c:3270
CPU: 0 PID: 12 Comm: syz-executor.0 Tainted: G        W          6.8.0-rc6 #2
RIP: 0010:scx_bypass+0x302/0x330 kernel/sched/ext.c:3246
Call Trace:
 <TASK>
 context_switch kernel/sched/core.c:5446 [inline]
 __schedule+0x3ff/0xfc0 kernel/sched/core.c:6766
 schedule (kernel/sched/core.c:6856 (discriminator 3) kernel/x.h:2)
 </TASK>
)");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].fault.function, "scx_bypass");
  ASSERT_EQ(faults[0].fault.backtrace.size(), 4u);
  EXPECT_TRUE(faults[0].fault.backtrace[1]->inlined);
  EXPECT_EQ(faults[0].fault.backtrace[2]->line, 6766u);
  EXPECT_EQ(faults[0].fault.backtrace[3]->file, "kernel/sched/core.c");
}

TEST(KernelFaultParser, FaultWhileAnotherIsTold) {
  const auto faults = parse(R"(WARNING: kernel/sched/ext.c:1273 at scx_commit+0xf2/0x120, CPU#10: x/4554
 <TASK>
 scx_insert+0x6e/0xa0
BUG: unable to handle page fault for address: ffffffffffff0a00
RIP: 0010:hex_string+0xb1/0x100
)");
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_TRUE(faults[0].fault.interrupted);
  EXPECT_EQ(faults[1].fault.function, "hex_string");
}

TEST(KernelFaultParser, CutHeadIsAWarningWhenTheLineBeforeIsNoOops) {
  const auto faults = parse(R"(!p->scx.cgrp_moving_from
CPU: 7 UID: 1000 PID: 1259 Comm: systemd Tainted: G         U     O       6.19.10 #1
RIP: 0010:scx_cgroup_move_task+0x96/0xa0
)");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].fault.kind, FaultKind::Warning);
  EXPECT_TRUE(faults[0].fault.cut_head);
  EXPECT_EQ(faults[0].fault.message, "!p->scx.cgrp_moving_from");
  EXPECT_EQ(faults[0].fault.taint, "GUO");
  // A dump_stack() of somebody is no fault.
  EXPECT_TRUE(
      parse("x\nCPU: 7 UID: 0 PID: 12 Comm: a Not tainted 6.19.10 #1\nCall Trace:\n f+0x1/0x2\n").empty());
}

TEST(KernelFaultParser, UserProgramsAreNoFaults) {
  EXPECT_TRUE(
      parse(
          R"([    4.923508] scx_segv[114]: segfault at 0 ip 00005634e1045230 sp 00007ffe05c2b2b8 error 4 in scx_segv
[    4.923600] traps: prog[12] general protection fault ip:4011a6 sp:7ffc error:0 in prog
[    4.923700] traps: prog[12] trap invalid opcode ip:4011a6 sp:7ffc error:0
[    4.923800] WARNING: this text names no place in the kernel
)")
          .empty());
}

TEST(KernelFaultParser, FaultsAndFramesAreBounded) {
  KernelFaultParser parser;
  for (int i = 0; i < 10'000; ++i) {
    parser.feed("watchdog: BUG: soft lockup - CPU#", 1);
    parser.feed("Call Trace:", 1);
    for (int k = 0; k < 300; ++k) parser.feed(" f+0x1/0x2", 1);
  }
  parser.finish();
  size_t taken = 0;
  while (auto fault = parser.take()) {
    EXPECT_LE(fault->fault.backtrace.size(), 256u);
    ++taken;
  }
  EXPECT_EQ(taken, KernelFaultParser::kMaxWaiting);
  EXPECT_EQ(parser.dropped(), 10'000 - taken);
}

TEST(EmulatorArtefact, OnlyUnderEmulation) {
  KernelFaultT int3;
  int3.kind = FaultKind::Oops;
  int3.title = "int3";
  EXPECT_FALSE(emulator_artefact(int3, "tcg", false).empty());
  EXPECT_TRUE(emulator_artefact(int3, "kvm", false).empty());
  EXPECT_FALSE(emulator_artefact(int3, "tcg", true).empty());
  KernelFaultT plain;
  plain.kind = FaultKind::Oops;
  EXPECT_FALSE(emulator_artefact(plain, "tcg", false).empty());
  EXPECT_TRUE(emulator_artefact(plain, "tcg", true).empty());
  KernelFaultT panic;
  panic.kind = FaultKind::Panic;
  EXPECT_TRUE(emulator_artefact(panic, "tcg", false).empty());
}

TEST(EmulatorArtefact, Int3AndJumpToNullAreRecognised) {
  for (const char* text :
       {"[    5.000001] Oops: int3: 0000 [#1] SMP NOPTI\n", "int3: 0000 [#1] PREEMPT SMP NOPTI\n"}) {
    const auto int3 = parse(text);
    ASSERT_EQ(int3.size(), 1u);
    EXPECT_EQ(int3[0].fault.title, "int3");
  }
  const auto jump = parse(R"([    5.000001] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    5.000002] #PF: supervisor instruction fetch in kernel mode
[    5.000003] Oops: Oops: 0010 [#1] SMP NOPTI
[    5.000004] CPU: 0 UID: 0 PID: 0 Comm: swapper/0 Not tainted 7.3.4 #1
[    5.000005] RIP: 0010:0x0
)");
  ASSERT_EQ(jump.size(), 1u);
  EXPECT_TRUE(jump[0].fault.jump_to_null);
}

}  // namespace
}  // namespace ktstr
