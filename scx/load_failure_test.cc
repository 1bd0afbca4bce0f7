#include "scx/load_failure.h"

#include <gtest/gtest.h>

#include "scx/testing/testdata.h"

namespace ktstr {
namespace {

std::optional<LoadFailure> scan(const std::vector<std::string>& lines) {
  LoadFailureScanner scanner;
  for (const std::string& line : lines) scanner.line(line);
  return scanner.failure();
}

// The same refusal as two kernels word it.
TEST(LoadFailure, RealRefusalsAreCutToTheAccess) {
  for (const char* name : {"scx_verifier_reject.sched.txt", "scx_verifier_reject-6.16.sched.txt"}) {
    auto failure = scan(testing::lines_of(name));
    ASSERT_TRUE(failure) << name;
    EXPECT_EQ("reject_enqueue", failure->program);
    EXPECT_EQ("R0 invalid mem access 'map_value_or_null'", failure->reason);
    EXPECT_EQ("30: (79) r1 = *(u64 *)(r0 +0)", failure->insn);
    EXPECT_EQ("*count += 1", failure->source);
    EXPECT_EQ("scx_verifier_reject.bpf.c:16", failure->where);
  }
}

TEST(LoadFailure, AReferenceThatIsNotReleasedHasThePlaceWhereItIsTaken) {
  auto failure =
      scan({"libbpf: prog 'x_enqueue': -- BEGIN PROG LOAD LOG --", "; void BPF_PROG(x_enqueue) @ x.bpf.c:4",
            "0: (79) r6 = *(u64 *)(r1 +0)", "; owner = bpf_task_from_pid(p->tgid); @ x.bpf.c:5",
            "4: (85) call bpf_task_from_pid#1234       ; R0_w=ptr_or_null_task_struct(id=3,ref_obj_id=3)",
            "; if (owner->flags & KTHREAD) { @ x.bpf.c:7", "8: (56) if w1 != 0x0 goto pc+3",
            "; scx_bpf_dsq_insert(p, dsq_id, slice, enq_flags); @ compat.bpf.h:112",
            "12: (85) call scx_bpf_dsq_insert#99", "; void BPF_PROG(x_enqueue) @ x.bpf.c:4", "44: (95) exit",
            "Unreleased reference id=3 alloc_insn=4", "processed 40 insns (limit 1000000)",
            "-- END PROG LOAD LOG --"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->taken, "x.bpf.c:5: owner = bpf_task_from_pid(p->tgid)");
  EXPECT_EQ(failure->own, "x.bpf.c:7: if (owner->flags & KTHREAD) {");
}

// As scx_bpfland 1.1.4 said it: the errno comes last, and tells nothing.
TEST(LoadFailure, AKernelConfigurationThatIsNotThereIsTheCause) {
  auto failure =
      scan({"libbpf: extern (kcfg) 'LINUX_KERNEL_VERSION': set to 0x70304",
            "libbpf: failed to open system Kconfig", "libbpf: failed to load BPF skeleton 'bpf_bpf': -EINVAL",
            "Error: Failed to load BPF program", "", "Caused by:", "    Invalid argument (os error 22)"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->cause, LoadCause::kNoKconfig);
}

TEST(LoadFailure, AStructOpsProgramThatNobodyRefersTo) {
  auto failure =
      scan({"libbpf: prog 'x_running': SEC(\"struct_ops\") program isn't referenced anywhere, did you forget "
            "to use it?",
            "libbpf: prog 'x_running': failed to load: -22"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->cause, LoadCause::kUnusedProgram);
  EXPECT_EQ(failure->symbol, "x_running");
}

TEST(LoadFailure, RelocationThatTheKernelLacks) {
  auto failure =
      scan({"libbpf: prog 'fifo_exit': BPF program load failed: Invalid argument",
            "libbpf: prog 'fifo_exit': -- BEGIN PROG LOAD LOG --", "0: R1=ctx() R10=fp0",
            "; x = ei->kind; @ fifo.bpf.h:61", "23: <invalid CO-RE relocation>",
            "failed to resolve CO-RE relocation <byte_off> [33] struct scx_exit_info.kind (0:0 @ offset 0)",
            "processed 20 insns (limit 1000000)", "-- END PROG LOAD LOG --"});
  ASSERT_TRUE(failure);
  EXPECT_EQ("failed to resolve CO-RE relocation <byte_off> [33] struct scx_exit_info.kind (0:0 @ offset 0)",
            failure->reason);
  EXPECT_EQ("fifo.bpf.h:61", failure->where);
}

TEST(LoadFailure, MissingKfunc) {
  auto failure = scan(
      {"libbpf: struct_ops x: member priv not found in kernel, skipping it as it's set to zero",
       "2026-11-21 [WARN] libbpf: extern (func ksym) 'scx_bpf_consume': not found in kernel or module BTFs",
       "libbpf: failed to load object 'x'"});
  ASSERT_TRUE(failure);
  EXPECT_EQ("extern (func ksym) 'scx_bpf_consume': not found in kernel or module BTFs", failure->reason);
}

TEST(LoadFailure, LogThatEndsInTheMiddle) {
  auto failure = scan({"libbpf: prog 'a': BPF program load failed: Permission denied",
                       "libbpf: prog 'a': -- BEGIN PROG LOAD LOG --", "0: R1=ctx() R10=fp0",
                       "0: (79) r6 = *(u64 *)(r1 +0)"});
  ASSERT_TRUE(failure);
  EXPECT_EQ("a", failure->program);
  EXPECT_EQ("Permission denied", failure->reason);
}

TEST(LoadFailure, AnObjectionOnAJumpsLine) {
  auto failure =
      scan({"libbpf: prog 'a': BPF program load failed: Invalid argument",
            "libbpf: prog 'a': -- BEGIN PROG LOAD LOG --", "; while (stats.enqueued != 77) { @ x.bpf.c:6",
            "9: (79) r3 = *(u64 *)(r2 +0)          ; R2=map_value(map=.bss,ks=4,vs=24) R3=scalar()",
            "10: (55) if r3 != 0x4d goto pc-5 6: R1=trusted_ptr_task_struct() R10=fp0",
            "10: (55) if r3 != 0x4d goto pc-5      ; R1=trusted_ptr_task_struct() R10=fp0",
            "10: (55) if r3 != 0x4d goto pc-5 infinite loop detected at insn 6",
            "cur state: R1=trusted_ptr_task_struct() R10=fp0", "old state: R1=trusted_ptr_task_struct()",
            "processed 33 insns (limit 1000000) max_states_per_insn 0", "-- END PROG LOAD LOG --"});
  ASSERT_TRUE(failure);
  EXPECT_EQ("infinite loop detected at insn 6", failure->reason);
  EXPECT_EQ("10: (55) if r3 != 0x4d goto pc-5", failure->insn);
  EXPECT_EQ("x.bpf.c:6", failure->where);
}

TEST(LoadFailure, AnObjectionToACallsArguments) {
  auto failure = scan({"libbpf: prog 'a': -- BEGIN PROG LOAD LOG --", "; n += look_at(p); @ x.bpf.c:6",
                       "9: (85) call pc+23", "access beyond struct thread_info at off 0 size 56",
                       "Caller passes invalid args into func#1 ('look_at')",
                       "processed 8 insns (limit 1000000)", "-- END PROG LOAD LOG --"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(
      "access beyond struct thread_info at off 0 size 56; Caller passes invalid args into func#1 ('look_at')",
      failure->reason);
}

TEST(LoadFailure, OrdinaryOutputIsNoFailure) {
  EXPECT_FALSE(scan({"[good] attached", "stats: failed=0 errors=0", "not found: nothing"}));
  EXPECT_FALSE(scan(testing::lines_of("scx_segv.sched.txt")));
}

}  // namespace
}  // namespace ktstr
