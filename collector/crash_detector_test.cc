#include "collector/crash_detector.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

class CrashDetectorTest : public testing::Test {
 protected:
  void console(const std::string& text) {
    ConsoleLineT line;
    line.text = text;
    detector_.on_event(make_event({}, std::move(line)));
  }
  void dump(const std::string& text, uint64_t guest_ns = 4'000'000'000) {
    DumpLineT line;
    line.text = text;
    line.pid = 77;
    line.cpu = 2;
    detector_.on_event(make_event({.guest_ns = guest_ns}, std::move(line)));
  }
  void output(const std::string& text) {
    SchedulerLineT line;
    line.stream = OutputStream::Stderr;
    line.text = text;
    detector_.on_event(make_event({}, std::move(line)));
  }
  void short_dump(uint64_t guest_ns = 4'000'000'000) {
    for (const char* text : {"cg_0/1[77] triggered exit kind 1025:", "  scx_bpf_error (from the dump)", "",
                             "Backtrace:", "  scx_exit+0x1/0x2", "  enqueue_task_scx+0x1/0x2", ""})
      dump(text, guest_ns);
  }
  void oops(const char* stamp) {
    console(std::string("[") + stamp + "] BUG: unable to handle page fault for address: ffff888000000000");
    console(std::string("[") + stamp + "] CPU: 1 UID: 0 PID: 9 Comm: other Not tainted 7.3.4 #1");
    console(std::string("[") + stamp + "] RIP: 0010:pick_task_idle+0x1/0x2");
  }
  CrashDetector detector_;
};

// A warning is no crash, and it is told all the same.
TEST_F(CrashDetectorTest, AWarningIsToldAndIsNoCrash) {
  for (const char* text :
       {"[    5.000000] ------------[ cut here ]------------",
        "[    5.000001] WARNING: CPU: 1 PID: 142 at kernel/sched/ext.c:3725 scx_cgroup_move_task+0x82/0x90",
        "[    5.000002] CPU: 1 UID: 0 PID: 142 Comm: systemd Tainted: G        W           7.3.0 #1",
        "[    5.000003] RIP: 0010:scx_cgroup_move_task+0x82/0x90", "[    5.000004] Call Trace:",
        "[    5.000005]  sched_move_task+0x103/0x300", "[    5.000006] ---[ end trace 0000000000000000 ]---"})
    console(text);
  auto told = detector_.take_faults(true);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].fault.kind, FaultKind::Warning);
  EXPECT_EQ(told[0].fault.function, "scx_cgroup_move_task");
  EXPECT_EQ(told[0].guest_ns, 5'000'000'000u + (told[0].guest_ns % 10'000));
  EXPECT_FALSE(detector_.result());
  EXPECT_TRUE(detector_.take_faults(true).empty());
}

TEST_F(CrashDetectorTest, NothingSaidNothingHappened) {
  console("[    1.000000] Linux version 7.3.4");
  EXPECT_FALSE(detector_.result());
}

TEST_F(CrashDetectorTest, DumpIsPreferredAndConsoleFillsIn) {
  console("[    4.100000] sched_ext: BPF scheduler \"demo\" disabled (scx_bpf_error)");
  console("[    4.100001] sched_ext: demo: from the console");
  console("[    4.100002]    schedule+0x1/0x2");
  short_dump();
  auto crash = detector_.result();
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->kind, CrashKind::SchedExtExit);
  EXPECT_EQ(crash->source, "sched_ext_dump");
  EXPECT_EQ(crash->message, "from the dump");
  EXPECT_EQ(crash->exit_kind, 1025u);
  EXPECT_EQ(crash->ops_name, "demo");  // 6.16's dump does not name it
  EXPECT_EQ(crash->cpu, 2);
  ASSERT_EQ(crash->backtrace.size(), 2u);
  EXPECT_EQ(crash->backtrace[1]->function, "enqueue_task_scx");
}

TEST_F(CrashDetectorTest, ConsoleAlone) {
  console("[    4.100000] sched_ext: BPF scheduler \"demo\" disabled (runnable task stall)");
  console("[    4.100001] sched_ext: demo: cg_0/1[123] failed to run for 5.250s");
  console("[    4.100002]    scx_watchdog_workfn+0x18a/0x210");
  auto crash = detector_.result();
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->source, "console");
  EXPECT_EQ(crash->exit_kind, 0u);
  EXPECT_EQ(crash->stall_task_comm, "cg_0/1");
  EXPECT_EQ(crash->stall_task_pid, 123);
  EXPECT_EQ(crash->stall_ns, 5'250'000'000u);
}

TEST_F(CrashDetectorTest, SchedulersOutputAlone) {
  output("EXIT: runtime error (invalid DSQ ID 0xbad)");
  auto crash = detector_.result();
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->source, "scheduler log");
  EXPECT_EQ(crash->reason, "runtime error");
}

TEST_F(CrashDetectorTest, OrderlyEndsAreNoCrash) {
  for (const char* reason : {"unregistered from user space", "unregistered from BPF", "disabled by sysrq-S"})
    console("[    4.100000] sched_ext: BPF scheduler \"demo\" disabled (" + std::string(reason) + ")");
  output("EXIT: unregistered from user space");
  dump("scx_good[70] triggered exit kind 64:");
  dump("  unregistered from user space");
  EXPECT_FALSE(detector_.result());
}

TEST_F(CrashDetectorTest, OopsBeforeTheExitIsTheCrash) {
  detector_.set_accelerator("kvm");
  oops("    3.000000");
  short_dump();
  auto crash = detector_.result();
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->kind, CrashKind::KernelOops);
  EXPECT_EQ(crash->backtrace.at(0)->function, "pick_task_idle");
  EXPECT_TRUE(crash->artefact.empty());
}

TEST_F(CrashDetectorTest, OopsWithoutAnExitUnderEmulationIsAnArtefact) {
  detector_.set_accelerator("tcg");
  oops("    3.000000");
  auto crash = detector_.result();
  ASSERT_TRUE(crash);
  EXPECT_FALSE(crash->artefact.empty());
}

TEST_F(CrashDetectorTest, OopsAfterTheExitDoesNotHideIt) {
  short_dump();
  oops("    5.000000");
  EXPECT_EQ(detector_.result()->kind, CrashKind::SchedExtExit);
}

TEST_F(CrashDetectorTest, LockupThatEndedInAnExitIsThatExit) {
  console("[    3.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cg_0/1:412]");
  EXPECT_EQ(detector_.result()->kind, CrashKind::Lockup);
  short_dump();
  EXPECT_EQ(detector_.result()->kind, CrashKind::SchedExtExit);
}

TEST_F(CrashDetectorTest, RealOutputFromAllThreeSources) {
  const std::string folder = KTSTR_TESTDATA;
  for (std::string name : {"7.3-scx_demo", "6.16-scx_stall", "6.18-scx_dispatch_loop", "7.2-scx_bad_dsq"}) {
    CrashDetector from_dump, from_console;
    for (const char* kind : {".dump.txt", ".console.txt"}) {
      std::ifstream file(folder + "/" + name + kind);
      for (std::string text; std::getline(file, text);) {
        if (kind == std::string(".dump.txt")) {
          DumpLineT line;
          line.text = text;
          from_dump.on_event(make_event({}, std::move(line)));
        } else {
          ConsoleLineT line;
          line.text = text;
          from_console.on_event(make_event({}, std::move(line)));
        }
      }
    }
    auto a = from_dump.result(), b = from_console.result();
    ASSERT_TRUE(a && b) << name;
    // Two independent routes to the same facts.
    EXPECT_EQ(a->reason, b->reason) << name;
    EXPECT_EQ(a->message, b->message) << name;
    ASSERT_EQ(a->backtrace.size(), b->backtrace.size()) << name;
    for (size_t i = 0; i < a->backtrace.size(); ++i)
      EXPECT_EQ(a->backtrace[i]->raw, b->backtrace[i]->raw) << name;
  }
}

// Whatever a guest prints, the detector ends, stays bounded and gives an event that can be built.
TEST_F(CrashDetectorTest, MutatedOutputIsSurvived) {
  std::vector<std::string> lines;
  for (const char* name :
       {"7.3-scx_demo.dump.txt", "6.16-scx_stall.console.txt", "7.2-scx_bad_dsq.output.txt"}) {
    std::ifstream file(std::string(KTSTR_TESTDATA) + "/" + name);
    for (std::string text; std::getline(file, text);) lines.push_back(text);
  }
  for (const char* text :
       {"BUG: kernel NULL pointer dereference, address: 0", "CPU: 1 UID: 0 PID: 9 Comm: x Tainted: G",
        "RIP: 0010:f+0x1/0x2", "Call Trace:", " <TASK>", "Kernel panic - not syncing: x",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cg_0/1:412]",
        "INFO: task a:1 blocked for more than 1"})
    lines.push_back(text);
  std::mt19937 random(6);
  for (int round = 0; round < 200; ++round) {
    CrashDetector detector;
    for (int i = 0; i < 100; ++i) {
      std::string text = lines[random() % lines.size()];
      for (int n = static_cast<int>(random() % 4); n > 0 && !text.empty(); --n) {
        const size_t at = random() % text.size();
        switch (random() % 4) {
          case 0:
            text[at] = static_cast<char>(random());
            break;
          case 1:
            text.erase(at, random() % 5 + 1);
            break;
          case 2:
            text.resize(at);
            break;
          default:
            text.insert(at, 1, "[]() :/+0x"[random() % 10]);
        }
      }
      ConsoleLineT console;
      console.text = text;
      detector.on_event(make_event({}, std::move(console)));
      DumpLineT dump;
      dump.text = text;
      detector.on_event(make_event({}, std::move(dump)));
      SchedulerLineT output;
      output.text = text;
      detector.on_event(make_event({}, std::move(output)));
    }
    if (auto crash = detector.result()) {
      EXPECT_LE(crash->backtrace.size(), 256u);
      make_event({}, std::move(*crash));
    }
  }
}

}  // namespace
}  // namespace ktstr
