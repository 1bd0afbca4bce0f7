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

// --- programs

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
