// Every message with which sched_ext of 6.12 to 7.3 aborts a scheduler (its formats are in kernel/sched/ext*), in each form
// in which people have it: the kernel's log, the dump, and what the scheduler prints. Each form gives the same explanation.
#include "explain/error_words.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::explained;

struct Message {
  const char* message;
  std::vector<std::string> words;  // of the first line
  const char* advice;              // a word of what usually mends it; "": nothing is known
  const char* task = "";           // whom it is about
};

const std::vector<Message>& messages() {
  static const std::vector<Message> all = {
      // inserts
      {"cow[7] already direct-dispatched", {"cow was dispatched twice"}, "once", "cow"},
      {"scheduling for cow[7] but trying to direct-dispatch hen[8]",
       {"called for cow", "inserted hen"},
       "ops.dispatch",
       "cow"},
      {"non-existent DSQ 0x77 for cow[7]", {"non-existent DSQ 0x77"}, "scx_bpf_create_dsq"},
      {"non-existent DSQ 0x77", {"non-existent DSQ 0x77"}, "scx_bpf_create_dsq"},
      {"invalid DSQ ID 0x0000000000000077", {"invalid DSQ ID"}, "scx_bpf_create_dsq"},
      {"attempting to dispatch to a destroyed dsq", {"scx_bpf_destroy_dsq()"}, "before it is destroyed"},
      {"attempting to destroy in-use dsq 0x0000000000000005 (nr=3)", {"still holds tasks", "nr=3"}, "move"},
      {"cannot use vtime ordering for built-in DSQs", {"vtime ordering"}, "FIFO"},
      {"DSQ ID 0x0000000000000100 already had FIFO-enqueued tasks", {"FIFO"}, "never both"},
      {"DSQ ID 0x0000000000000100 already had PRIQ-enqueued tasks", {"PRIQ"}, "never both"},
      {"dispatch buffer overflow", {"dispatch_max_batch"}, "scx_bpf_dispatch_nr_slots"},
      {"dispatch buffer underflow", {"scx_bpf_dispatch_cancel()"}, "cancel"},
      {"SCX_DSQ_LOCAL[_ON] cannot move migration disabled cow[7] from CPU 1 to 2",
       {"migration-disabled cow", "on CPU 1", "CPU 2's local DSQ"},
       "is_migration_disabled",
       "cow"},
      {"SCX_DSQ_LOCAL[_ON] target CPU 2 not allowed for cow[7]",
       {"cow", "CPU 2", "not allowed"},
       "cpus_ptr",
       "cow"},
      {"SCX_DSQ_LOCAL[_ON] verdict target cpu 2 not allowed for cow[7]",  // 6.12
       {"cow", "CPU 2", "not allowed"},
       "cpus_ptr",
       "cow"},
      {"SCX_ENQ_IMMED on a non-local DSQ 0x5", {"SCX_ENQ_IMMED"}, "local DSQs"},
      {"SCX_ENQ_RESCUE on a non-local DSQ 0x5", {"SCX_ENQ_RESCUE"}, "local DSQs"},
      {"SCX_ENQ_REENQ on SCX_DSQ_LOCAL repeated 257 times", {"over and over"}, "SCX_ENQ_REENQ"},
      {"DSQ 0x5 not allowed for reenq", {"not allowed for reenq"}, "scx_bpf_dsq_reenq"},
      {"invalid SCX_REENQ flags 0x80", {"SCX_REENQ"}, "SCX_REENQ_"},
      {"invalid enq_flags 0x80", {"enq_flags"}, "SCX_ENQ_"},
      {"peek disallowed on builtin DSQ 0x8000000000000001", {"builtin"}, "own DSQs"},
      {"peek on non-existent DSQ 0x5", {"0x5"}, "scx_bpf_create_dsq"},
      {"scx_bpf_dsq_move[_vtime]() on cow[7] but the task belongs to a different scheduler",
       {"different scheduler"},
       "own cgroups"},
      // CPUs
      {"invalid CPU -1 from ops.select_cpu()", {"ops.select_cpu returned CPU -1", "does not exist"}, "-1"},
      {"invalid CPU 99 from ops.select_cpu()", {"ops.select_cpu returned CPU 99"}, "scx_bpf_nr_cpu_ids"},
      {"invalid CPU 99 in SCX_DSQ_LOCAL_ON dispatch verdict", {"local DSQ of CPU 99"}, "scx_bpf_nr_cpu_ids"},
      {"invalid CPU 99", {"CPU 99", "kfunc"}, "scx_bpf_nr_cpu_ids"},
      {"Invalid target CPU 99", {"CPU 99"}, "scx_bpf_nr_cpu_ids"},
      {"invalid cid 99", {"cid 99"}, "scx_bpf_nr_cids"},
      {"Invalid cpuperf target 4096 for CPU 1", {"4096"}, "SCX_CPUPERF_ONE"},
      {"invalid node 9", {"node 9"}, "NUMA_NO_NODE"},
      {"unavailable node 9", {"node 9"}, "this machine"},
      {"PREEMPT/WAIT cannot be used with SCX_KICK_IDLE", {"SCX_KICK_IDLE"}, "alone"},
      {"scx_bpf_kick_cpu() called from NMI", {"NMI"}, "callback"},
      // kfuncs in the wrong place
      {"kfunc with mask 0x2 called from an operation only allowing 0xc",
       {"a kfunc of ops.dispatch", "from ops.select_cpu"},
       "move the call"},
      {"kfunc with mask 0x8 called from an operation only allowing 0x4",
       {"a kfunc of ops.select_cpu", "from ops.enqueue"},
       "move the call"},
      {"dispatch kfunc called from a nested operation", {"another callback"}, "ops.dispatch"},
      {"cpu_release kfunc called from a nested operation", {"another callback"}, "ops.cpu_release"},
      {"invalid nesting current->scx.kf_mask=0x4 mask=0x2", {"inside another"}, ""},
      {"called with NULL task", {"NULL"}, "test the task"},
      {"accessing rq without holding rq lock", {"scx_bpf_locked_rq()"}, "lock"},
      {"select_cpu kfunc called cross-task on cow[7]", {"another callback"}, "was given"},
      {"__scx_bpf_dsq_insert_vtime() must be used", {"must be used"}, "headers"},
      {"__scx_bpf_select_cpu_and() must be used", {"must be used"}, "headers"},
      {"scx_bpf_dump() must only be called from ops.dump() and friends", {"ops.dump()"}, "ops.dump"},
      {"per-node idle tracking is disabled", {"per-node"}, "SCX_OPS_BUILTIN_IDLE_PER_NODE"},
      {"per-node idle tracking is enabled", {"per-node"}, "_node"},
      {"SCX_OPS_BUILTIN_IDLE_PER_NODE enabled", {"PER_NODE"}, "_node"},
      {"built-in idle tracking is disabled", {"ops.update_idle"}, "SCX_OPS_KEEP_BUILTIN_IDLE"},
      {"scx_bpf_tid_to_task() called without SCX_OPS_TID_TO_TASK", {"TID"}, "SCX_OPS_TID_TO_TASK"},
      // init
      {"ops.init() failed (-12)", {"ops.init() failed", "ENOMEM"}, "max_entries"},
      {"ops.init() failed (-17)", {"EEXIST"}, "exists already"},
      {"ops.init() failed (-28)", {"ENOSPC"}, "full"},
      {"ops.init_cids() failed (-22)", {"ops.init_cids()", "EINVAL"}, ""},
      {"ops.init_task() failed (-12) for cow[7]", {"ops.init_task()", "ENOMEM"}, "ops.exit_task", "cow"},
      {"ops.init_task() failed (-7) for cow[7]", {"E2BIG"}, "max_entries", "cow"},
      {"ops.cgroup_init() failed (-12)", {"ops.cgroup_init()", "ENOMEM"}, "ops.cgroup_exit"},
      {"ops.init_task() failed (-22) for cow[7] while disabling a sub-scheduler", {"sub-scheduler"}, ""},
      {"scx_enable() failed (-22)", {"scx_enable() failed", "EINVAL"}, ""},
      {"scx_root_enable() failed (-16)", {"scx_root_enable() failed", "EBUSY"}, ""},
      {"scx_sub_enable() failed (-16)", {"scx_sub_enable() failed", "EBUSY"}, ""},
      {"ops.enqueue() returned an invalid errno -5000", {"invalid errno"}, "negative errno"},
      {"ops.init_task() set task->scx.disallow for cow[7] during fork", {"disallow"}, "args->fork"},
      {"non-root ops.init_task() set task->scx.disallow for cow[7]", {"disallow"}, "root scheduler"},
      {"SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented", {"SCX_OPS_ENQ_LAST"}, "implement"},
      {"SCX_OPS_BUILTIN_IDLE_PER_NODE requires CPU idle selection enabled",
       {"PER_NODE"},
       "KEEP_BUILTIN_IDLE"},
      {"SCX_OPS_TID_TO_TASK requires root scheduler to enable it", {"root"}, "root scheduler"},
      {"scx_bpf_cid_override: shard_start not increasing at [2]", {"map of CPUs to cids"}, ""},
      {"cid 3 assigned to multiple cpus", {"map of CPUs to cids"}, ""},
      {"sub-sched requires cid-form struct_ops", {"cid-form"}, "sched_ext_ops_cid"},
      // detectors
      {"soft lockup - CPU#5 stuck for 13s", {"soft-lockup detector", "13s"}, "loop"},
      {"soft lockup - CPU 5 stuck for 13s", {"soft-lockup detector"}, "loop"},
      {"hard lockup - CPU 2", {"hard-lockup detector", "CPU 2"}, "loop"},
      {"RCU CPU stall detected!", {"RCU stall detector"}, "loop"},
      {"RCU CPU stall on CPUs (2)", {"RCU stall detector"}, "loop"},
      // sub-schedulers
      {"qmap: sub-42 is not a direct child", {"direct child"}, "direct sub-schedulers"},
      {"trying to dispatch a distant sub-sched on cgroup 42", {"distant"}, "direct sub-schedulers"},
      {"parent bypassing (-19)", {"scheduler above"}, ""},
      {"parent rejected (-22)", {"sub_attach"}, ""},
      // messages that cannot be printed
      {"format preparation failed (-22)", {"could not be put together"}, "format"},
      {"failed to read data fields (-14)", {"could not be put together"}, "format"},
      {"invalid data=0 and data__sz=3", {"could not be put together"}, "format"},
  };
  return all;
}

Explanation only(const std::string& text) {
  auto crashes = explained(text);
  EXPECT_EQ(crashes.size(), 1u) << text;
  return crashes.empty() ? Explanation{} : crashes.front();
}

TEST(ErrorWords, EveryMessageOfTheKernelIsExplainedInEachOfItsForms) {
  for (const Message& row : messages()) {
    const std::string message = row.message;
    const std::string frames = "   a_check+0x1/0x2\n";
    const Explanation console = only(
        "[    1.000001] sched_ext: BPF scheduler \"mine\" disabled (runtime error)\n"
        "[    1.000002] sched_ext: mine: " +
        message + "\n[    1.000003] " + frames);
    const Explanation dump = only("mine: root\nhen[9] triggered exit kind 1024 on CPU 3:\n  runtime error (" +
                                  message + ")\n\nBacktrace:\n" + frames + "\nCPU states\n----------\n");
    const Explanation printed = only("EXIT: runtime error (" + message + ")\n");
    for (const Explanation& e : {console, dump, printed}) {
      EXPECT_EQ(e.cls, "error/runtime") << message;
      EXPECT_EQ(e.message, message);
      EXPECT_TRUE(e.summary.starts_with("runtime error: ")) << e.summary;
      for (const std::string& word : row.words)
        EXPECT_NE(e.summary.find(word), std::string::npos) << word << " in: " << e.summary;
      if (std::string_view(row.advice).empty()) {
        EXPECT_EQ(e.advice, "") << message;
      } else {
        EXPECT_NE(e.advice.find(row.advice), std::string::npos) << message << ": " << e.advice;
      }
      if (!std::string_view(row.task).empty()) {
        EXPECT_EQ(e.task, row.task) << message;
      }
    }
    EXPECT_EQ(console.signature, dump.signature) << message;
  }
}

TEST(ErrorWords, TwoMessagesAreTwoBugs) {
  // Of one check there may be several wordings: releases differ, and the order of FIFO and PRIQ is chance.
  std::vector<std::string> seen;
  for (const Message& row : messages()) {
    const std::string signature = only(std::string("EXIT: runtime error (") + row.message + ")\n").signature;
    const bool known = std::find(seen.begin(), seen.end(), signature) != seen.end();
    const std::string_view message = row.message;
    const bool variant = message.find("PRIQ") != message.npos || message.starts_with("invalid CPU 99 from") ||
                         message.starts_with("kfunc with mask 0x8") ||
                         message.find("(-17)") != message.npos || message.find("(-28)") != message.npos ||
                         message.find("(-7)") != message.npos;
    EXPECT_EQ(known, variant) << message << ": " << signature;
    seen.push_back(signature);
  }
}

TEST(ErrorWords, EachExitKindIsACrashOrNone) {
  struct Kind {
    int kind;
    const char* reason;
    bool crash;
  };
  for (const Kind& row : std::vector<Kind>{{64, "unregistered from user space", false},
                                           {65, "unregistered from BPF", false},
                                           {66, "unregistered from the main kernel", false},
                                           {67, "disabled by sysrq-S", false},
                                           {68, "parent exiting", false},
                                           {69, "killed by parent scheduler", false},
                                           {1024, "runtime error", true},
                                           {1025, "scx_bpf_error", true},
                                           {1026, "runnable task stall", true},
                                           {1027, "reenqueue limit", true},
                                           {1028, "rescue bandwidth overload", true}}) {
    const std::string reason = row.reason;
    for (const char* who : {"scheduler", "sub-scheduler"}) {
      const std::string console = std::string("[    1.000001] sched_ext: BPF ") + who +
                                  " \"mine\" disabled (" + reason +
                                  ")\n[    1.000002] sched_ext: mine: some words\n";
      EXPECT_EQ(!explained(console).empty(), row.crash) << console;
    }
    const std::string dump = "hen[9] triggered exit kind " + std::to_string(row.kind) + ":\n  " + reason +
                             " (some words)\n\nBacktrace:\n  f+0x1/0x2\n";
    EXPECT_EQ(!explained(dump).empty(), row.crash) << dump;
    EXPECT_EQ(!explained("EXIT: " + reason + " (some words)\n").empty(), row.crash) << reason;
  }
}

TEST(ErrorWords, KernelsBefore612HaveAFormOfTheirOwn) {
  const Explanation e = only(
      "[   10.000001] sched_ext: BPF scheduler \"mine\" errored, disabling\n"
      "[   10.000002] sched_ext: runnable task stall (kworker/3:1[31] failed to run for 39.079s)\n"
      "[   10.000003]    scx_watchdog_workfn+0x154/0x1e0\n");
  EXPECT_EQ(e.cls, "stall");
  EXPECT_EQ(e.ops, "mine");
  EXPECT_EQ(e.task, "kworker/3:1");
  const Explanation bpf = only(
      "[   10.000001] sched_ext: BPF scheduler \"mine\" errored, disabling\n"
      "[   10.000002] sched_ext: scx_bpf_error (no cell 3)\n"
      "[   10.000003]    scx_bpf_error_bstr+0x154/0x1e0\n"
      "[   10.000004]    bpf_prog_0123456789abcdef_mine_enqueue+0x4/0x1e\n");
  EXPECT_EQ(bpf.cls, "error/bpf");
  EXPECT_EQ(bpf.function, "mine_enqueue");
}

TEST(ErrorWords, ACutLineStillTellsItsKind) {
  // A pager cuts lines with '>'.
  const Explanation e = only(
      "Jan 11 22:17:59 host1 kernel: sched_ext: BPF scheduler \"mine_1.0_x86_64_unknown_linux_gnu\" disabled "
      "(runtime er>\n"
      "Jan 11 22:17:59 host1 kernel: sched_ext: mine_1.0_x86_64_unknown_linux_gnu: dispatch buffer "
      "overflow\n");
  EXPECT_EQ(e.cls, "error/runtime");
  EXPECT_EQ(e.message, "dispatch buffer overflow");
}

TEST(ErrorWords, ASubSchedulersDumpNamesIt) {
  const Explanation e = only(
      "child: sub1-4242 /some/cgroup\nhen[9] triggered exit kind 1024 on CPU 3:\n  runtime error (dispatch "
      "buffer "
      "overflow)\n\nBacktrace:\n  f+0x1/0x2\n");
  EXPECT_EQ(e.ops, "child");
}

TEST(ErrorWords, WhatAnInterruptStoppedIsNotWhereTheErrorWas) {
  const Explanation e = only(
      "hen[9] triggered exit kind 1024 on CPU 1:\n  runtime error (some new check)\n\nBacktrace:\n"
      "  deferred_irq_workfn+0x3b/0x50\n  irq_work_run+0x6f/0x180\n  asm_sysvec_irq_work+0x1b/0x20\n"
      "  balance_one+0x18/0x30\n");
  EXPECT_EQ(e.summary.find("ops.dispatch"), std::string::npos) << e.summary;
}

}  // namespace
}  // namespace ktstr
