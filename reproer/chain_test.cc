#include "reproer/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reproer/testing/makers.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::vector<std::string> names(const std::vector<ChainLink>& links) {
  std::vector<std::string> out;
  for (const auto& l : links) out.push_back(l.function);
  return out;
}
bool everything(const std::string&) { return true; }
bool nothing(const std::string&) { return false; }

TEST(Chain, BacktraceLessNoise) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", {"x_enqueue", "x_place"}));
  CrashDetectedT crash = demo_crash();
  CrashChain chain = extract_chain(&crash, programs, nothing);
  EXPECT_EQ(chain.origin, ChainOrigin::kBacktrace);
  EXPECT_THAT(names(chain.links), ElementsAre("x_place", "x_enqueue", "do_enqueue_task"));
  EXPECT_TRUE(chain.links[0].bpf);
  EXPECT_EQ(chain.links[0].program, "x_enqueue");
  EXPECT_EQ(chain.links[0].source, "x.bpf.c:11");
  EXPECT_EQ(chain.links[0].source_text, "source of x_place");
  EXPECT_FALSE(chain.links[2].bpf);
  EXPECT_THAT(chain.dropped,
              ElementsAre(Pair("scx_bpf_error_bstr", "exit machinery"),
                          Pair("bpf__sched_ext_ops_enqueue", "trampoline"),
                          Pair("asm_sysvec_apic_timer_interrupt", "interrupt and softirq plumbing")));
}

TEST(Chain, TheLineOfTheFrameWinsOverTheFunctionsFirst) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", {"x_enqueue", "x_place"}));
  CrashDetectedT crash = demo_crash();
  crash.backtrace[1]->file = "y.bpf.c";
  crash.backtrace[1]->line = 99;
  EXPECT_EQ(extract_chain(&crash, programs, nothing).links[0].source, "y.bpf.c:99");
}

TEST(Chain, ASharedSubprogramBelongsToTheProgramOnTheTrace) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("select_cpu", {"x_select", "x_place"}));
  programs.push_back(program("enqueue", {"x_enqueue", "x_place"}));
  CrashDetectedT crash = demo_crash();
  EXPECT_EQ(extract_chain(&crash, programs, nothing).links[0].program, "x_enqueue");
}

TEST(Chain, OtherWaysToTheCallbackAreAlternates) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", {"x_enqueue", "x_place"}));
  programs.push_back(program("dispatch", {"x_dispatch"}));
  CrashDetectedT crash = demo_crash();
  auto alternates = names(extract_chain(&crash, programs, everything).alternates);
  EXPECT_THAT(alternates, testing::Contains("put_prev_task_scx"));
  EXPECT_THAT(alternates, testing::Not(testing::Contains("do_enqueue_task"))) << "is in the chain already";
  EXPECT_THAT(alternates, testing::Not(testing::Contains("balance_one"))) << "dispatch is not in the chain";
  EXPECT_TRUE(extract_chain(&crash, programs, nothing).alternates.empty());
}

TEST(Chain, AFarKernelPathIsCutAndSaidSo) {
  CrashDetectedT crash;
  std::vector<std::string> far;
  for (int i = 0; i < 40; ++i) add_frame(&crash, ("far_" + std::to_string(i)).c_str());
  CrashChain chain = extract_chain(&crash, {}, nothing);
  EXPECT_EQ(chain.links.size() + chain.dropped.size(), 40u);
  EXPECT_LE(chain.links.size(), 16u);
  EXPECT_EQ(chain.links[0].function, "far_0");
  EXPECT_THAT(chain.dropped.back().second, testing::HasSubstr("too far"));
}

TEST(Chain, NoBacktraceFallsBackToCallbacksAndTheirCallers) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", {"x_enqueue", "x_place"}));
  programs.push_back(program("dispatch", {"x_dispatch"}));
  CrashChain chain =
      extract_chain(nullptr, programs, [](const std::string& n) { return n == "do_enqueue_task"; });
  EXPECT_EQ(chain.origin, ChainOrigin::kCallbacks);
  EXPECT_THAT(names(chain.links), ElementsAre("x_dispatch", "x_place", "x_enqueue", "do_enqueue_task"));
  EXPECT_TRUE(extract_chain(nullptr, {}, everything).links.empty());
}

TEST(Chain, AStallTakesQueueingAndDispatchNotTheWatchdog) {
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", {"x_enqueue"}));
  programs.push_back(program("exit", {"x_exit"}));
  CrashDetectedT crash;
  crash.exit_kind = 0x402;
  add_frame(&crash, "scx_watchdog_workfn");
  add_frame(&crash, "something_else");
  CrashChain chain =
      extract_chain(&crash, programs, [](const std::string& n) { return n == "enqueue_task_scx"; });
  EXPECT_EQ(chain.origin, ChainOrigin::kStall);
  EXPECT_THAT(names(chain.links), ElementsAre("x_enqueue", "enqueue_task_scx"));
  EXPECT_THAT(chain.dropped, testing::SizeIs(2));
}

// The kind is told by the dump alone. Asking for it alone, the chain of such a stall was the watchdog's own path.
TEST(Chain, AStallWhoseDumpWasLostIsProbedAsAStall) {
  CrashDetectedT crash;
  crash.exit_kind = 0;
  crash.reason = "runnable task stall";
  add_frame(&crash, "scx_watchdog_workfn");
  add_frame(&crash, "process_one_work");
  CrashChain chain = extract_chain(&crash, {program("enqueue", {"x_enqueue"})},
                                   [](const std::string& n) { return n == "enqueue_task_scx"; });
  EXPECT_EQ(chain.origin, ChainOrigin::kStall);
  EXPECT_THAT(names(chain.links), ElementsAre("x_enqueue", "enqueue_task_scx"));
}

TEST(Chain, AFunctionsColdPartIsProbedAsTheFunction) {
  CrashDetectedT crash;
  crash.kind = CrashKind::KernelPanic;
  add_frame(&crash, "panic");
  add_frame(&crash, "__handle_sysrq.cold", "", 0x40);
  add_frame(&crash, "__handle_sysrq", "", 0x80);
  auto chain = extract_chain(&crash, {}, [](const std::string&) { return true; });
  ASSERT_EQ(chain.links.size(), 1u);
  EXPECT_EQ(chain.links[0].function, "__handle_sysrq");
  EXPECT_EQ(chain.links[0].offset, 0u) << "the offset counts from another place";
}

TEST(Chain, AKernelsOwnCheckHasAlternatesToo) {
  CrashDetectedT crash;
  crash.exit_kind = 0x400;
  add_frame(&crash, "find_dsq_for_dispatch");
  add_frame(&crash, "do_enqueue_task");
  add_frame(&crash, "put_prev_task_scx");
  auto chain =
      extract_chain(&crash, {program("enqueue", {"x_enqueue"})}, [](const std::string&) { return true; });
  std::vector<std::string> names;
  for (const ChainLink& l : chain.alternates) names.push_back(l.function);
  EXPECT_THAT(names, testing::Contains("try_to_wake_up"));
  EXPECT_THAT(names, testing::Not(testing::Contains("balance_one"))) << "dispatch was not on the way";
  EXPECT_THAT(names, testing::Not(testing::Contains("put_prev_task_scx"))) << "on the chain already";
}

TEST(Chain, OfManySubprogramsWithoutABacktraceAFewAreTaken) {
  std::vector<std::string> names{"x_enqueue"};
  for (int i = 0; i < 30; ++i) names.push_back("step_" + std::to_string(i));
  std::vector<const char*> list;
  for (const std::string& n : names) list.push_back(n.c_str());
  std::vector<BpfProgramT> programs;
  programs.push_back(program("enqueue", list));
  CrashDetectedT stall;
  stall.exit_kind = 0x402;
  auto chain = extract_chain(&stall, programs, [](const std::string&) { return false; });
  ASSERT_EQ(chain.links.size(), 9u);
  EXPECT_EQ(chain.links.back().function, "x_enqueue");
  ASSERT_EQ(chain.dropped.size(), 1u);
  EXPECT_EQ(chain.dropped[0].first, "22 more subprograms of x_enqueue");
}

}  // namespace
}  // namespace ktstr
