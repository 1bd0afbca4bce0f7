// Programs that do not load, and programs that end. Texts in the kernel's, libbpf's and runtimes' formats; names and numbers are made up.
#include <gtest/gtest.h>

#include "explain/explanation.h"
#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::expect_words;
using testing::explained;
using testing::first;

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
