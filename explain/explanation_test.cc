// Texts in the kernel's, libbpf's and runtimes' formats; names and numbers are made up.
#include "explain/explanation.h"

#include <gtest/gtest.h>

#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::expect_words;
using testing::explained;
using testing::first;

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

}  // namespace
}  // namespace ktstr
