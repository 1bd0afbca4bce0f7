// The texts follow the kernel's print formats; addresses and names are made up.
#include "scx/kernel_fault_parser.h"

#include <gtest/gtest.h>

#include <sstream>

#include "schemas/crash_generated.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {
namespace {

KernelFaultParser parse(const std::string& console) {
  KernelFaultParser parser;
  std::istringstream in(console);
  for (std::string line; std::getline(in, line);) {
    const StampedText stamped = split_stamp(line);
    parser.feed(stamped.text, stamped.guest_ns);
  }
  return parser;
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
  auto parser = parse(kOops);
  ASSERT_EQ(parser.faults().size(), 1u);
  const KernelFault& fault = parser.faults()[0];
  EXPECT_EQ(fault.kind, CrashKind::KernelOops);
  EXPECT_EQ(fault.message, "BUG: kernel NULL pointer dereference, address: 0000000000000018");
  EXPECT_EQ(fault.comm, "cg_0/1 x");
  EXPECT_EQ(fault.pid, 117);
  EXPECT_EQ(fault.cpu, 2);
  EXPECT_EQ(fault.guest_ns, 5'000'001'000u);
  ASSERT_EQ(fault.backtrace.size(), 4u);
  EXPECT_EQ(fault.backtrace[0].function, "task_can_run");
  EXPECT_TRUE(fault.backtrace[2].uncertain);
  EXPECT_EQ(fault.backtrace[3].function, "asm_sysvec_apic_timer_interrupt");
  EXPECT_FALSE(fault.int3);
  EXPECT_FALSE(fault.jump_to_null);
}

TEST(KernelFaultParser, PanicAlone) {
  auto parser =
      parse(R"([    1.703943] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    1.715095] CPU: 1 UID: 0 PID: 1 Comm: swapper/0 Not tainted 7.3.4 #1
[    1.715514] Call Trace:
[    1.715918]  <TASK>
[    1.716158]  dump_stack_lvl+0x5d/0x80
[    1.716363]  vpanic+0x166/0x360
[    1.716856]  </TASK>
)");
  ASSERT_EQ(parser.faults().size(), 1u);
  EXPECT_EQ(parser.faults()[0].kind, CrashKind::KernelPanic);
  EXPECT_EQ(parser.faults()[0].pid, 1);
  EXPECT_EQ(parser.faults()[0].backtrace.size(), 2u);
}

TEST(KernelFaultParser, Lockups) {
  auto soft =
      parse("[   30.0] \n[   30.000000] watchdog: BUG: soft lockup - CPU#13 stuck for 22s! [cg_0/1:412]\n");
  ASSERT_EQ(soft.faults().size(), 1u);
  EXPECT_EQ(soft.faults()[0].kind, CrashKind::Lockup);
  EXPECT_EQ(soft.faults()[0].reason, "soft lockup");
  EXPECT_EQ(soft.faults()[0].cpu, 13);
  EXPECT_EQ(soft.faults()[0].comm, "cg_0/1");
  EXPECT_EQ(soft.faults()[0].pid, 412);
  auto rcu = parse("[   30.000000] rcu: INFO: rcu_preempt self-detected stall on CPU\n");
  ASSERT_EQ(rcu.faults().size(), 1u);
  EXPECT_EQ(rcu.faults()[0].reason, "RCU stall");
  auto hung = parse("[  130.000000] INFO: task kworker/0:1:30 blocked for more than 120 seconds.\n");
  ASSERT_EQ(hung.faults().size(), 1u);
  EXPECT_EQ(hung.faults()[0].reason, "hung task");
  EXPECT_EQ(hung.faults()[0].comm, "kworker/0:1");
  EXPECT_EQ(hung.faults()[0].pid, 30);
}

TEST(KernelFaultParser, UserProgramsAndWarningsAreNoFaults) {
  auto parser = parse(
      R"([    4.923508] scx_segv[114]: segfault at 0 ip 00005634e1045230 sp 00007ffe05c2b2b8 error 4 in scx_segv
[    4.923600] traps: prog[12] general protection fault ip:4011a6 sp:7ffc error:0 in prog
[    4.923700] traps: prog[12] trap invalid opcode ip:4011a6 sp:7ffc error:0
[    4.923800] WARNING: CPU: 0 PID: 9 at kernel/sched/ext.c:1 scx_foo+0x1/0x2
)");
  EXPECT_TRUE(parser.faults().empty());
}

TEST(KernelFaultParser, FaultsAndFramesAreBounded) {
  KernelFaultParser parser;
  for (int i = 0; i < 10'000; ++i) {
    parser.feed("watchdog: BUG: soft lockup - CPU#", 1);
    parser.feed("Call Trace:", 1);
    for (int k = 0; k < 300; ++k) parser.feed(" f+0x1/0x2", 1);
  }
  EXPECT_LE(parser.faults().size(), 16u);
  EXPECT_LE(parser.faults()[0].backtrace.size(), 256u);
}

TEST(EmulatorArtefact, OnlyUnderEmulation) {
  KernelFault int3;
  int3.int3 = true;
  EXPECT_FALSE(emulator_artefact(int3, "tcg", false).empty());
  EXPECT_TRUE(emulator_artefact(int3, "kvm", false).empty());
  EXPECT_FALSE(emulator_artefact(int3, "tcg", true).empty());
  KernelFault plain;
  plain.reason = "Oops";
  EXPECT_FALSE(emulator_artefact(plain, "tcg", false).empty());
  EXPECT_TRUE(emulator_artefact(plain, "tcg", true).empty());
  KernelFault panic;
  panic.kind = CrashKind::KernelPanic;
  EXPECT_TRUE(emulator_artefact(panic, "tcg", false).empty());
}

TEST(EmulatorArtefact, Int3AndJumpToNullAreRecognised) {
  auto int3 = parse("[    5.000001] Oops: int3: 0000 [#1] SMP NOPTI\n");
  ASSERT_EQ(int3.faults().size(), 1u);
  EXPECT_TRUE(int3.faults()[0].int3);
  auto jump = parse(R"([    5.000001] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    5.000002] #PF: supervisor instruction fetch in kernel mode
[    5.000003] Oops: Oops: 0010 [#1] SMP NOPTI
[    5.000004] CPU: 0 UID: 0 PID: 0 Comm: swapper/0 Not tainted 7.3.4 #1
[    5.000005] RIP: 0010:0x0
)");
  ASSERT_EQ(jump.faults().size(), 1u);
  EXPECT_TRUE(jump.faults()[0].jump_to_null);
}

}  // namespace
}  // namespace ktstr
