#include "bpf/program_ways.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktstr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

enum Callee : int32_t { kInsert = 1, kPush = 2, kOther = 3, kStart = 4 };

bpf_insn insn(uint8_t code, int16_t off = 0, int32_t imm = 0, uint8_t src = 0) {
  bpf_insn i{};
  i.code = code;
  i.off = off;
  i.imm = imm;
  i.src_reg = src & 0xf;
  return i;
}
bpf_insn kfunc(Callee callee) { return insn(BPF_JMP | BPF_CALL, 0, callee, BPF_PSEUDO_KFUNC_CALL); }
bpf_insn call(int32_t function) { return insn(BPF_JMP | BPF_CALL, 0, function, BPF_PSEUDO_CALL); }
bpf_insn jump_if(int16_t off) { return insn(BPF_JMP | BPF_JEQ | BPF_K, off); }
bpf_insn go(int16_t off) { return insn(BPF_JMP | BPF_JA, off); }
bpf_insn leave() { return insn(BPF_JMP | BPF_EXIT); }
bpf_insn move() { return insn(BPF_ALU64 | BPF_MOV | BPF_K); }

ProgramWays ways(const ProgramCode& code) {
  return find_ways(code, [&](uint32_t i) {
    switch (code.insns[i].imm) {
      case kInsert:
        return CallDoes::kPlaces;
      case kPush:
        return CallDoes::kKeeps;
      case kStart:
        return CallDoes::kArms;
      default:
        return CallDoes::kNothing;
    }
  });
}

TEST(ProgramWays, AnEarlyReturnBeforeTheInsertIsNamed) {
  const ProgramWays found = ways({{kfunc(kOther), jump_if(1), kfunc(kInsert), leave()}, {0}});
  EXPECT_THAT(found.places, ElementsAre(2));
  EXPECT_THAT(found.unplaced, ElementsAre(1));
  EXPECT_THAT(found.dropped, ElementsAre(1));
}

TEST(ProgramWays, ABranchWhoseBothSidesInsertIsNone) {
  const ProgramWays found = ways({{jump_if(2), kfunc(kInsert), leave(), kfunc(kInsert), leave()}, {0}});
  EXPECT_THAT(found.places, ElementsAre(1, 3));
  EXPECT_THAT(found.unplaced, IsEmpty());
}

TEST(ProgramWays, WhatIsPushedIntoAMapIsNotDropped) {
  // if (x) { insert(); return; }  if (full) return;  push();
  const ProgramWays found =
      ways({{jump_if(2), kfunc(kInsert), leave(), jump_if(1), kfunc(kPush), leave()}, {0}});
  EXPECT_THAT(found.unplaced, ElementsAre(0));
  EXPECT_THAT(found.dropped, ElementsAre(3));
}

TEST(ProgramWays, ALoopThatTriesUntilItMovedIsNoWayOut) {
  // do { if (!next) break; insert } while (x): the break is one.
  const ProgramWays found = ways({{kfunc(kOther), jump_if(2), kfunc(kInsert), go(-4), leave()}, {0}});
  EXPECT_THAT(found.unplaced, ElementsAre(1));
}

TEST(ProgramWays, WhatFollowsAFunctionThatMayInsertIsNotAccused) {
  // if (try_insert()) return;  insert();
  const ProgramWays found = ways(
      {{call(1), jump_if(1), kfunc(kInsert), leave(), /* 1: */ jump_if(1), kfunc(kInsert), leave()}, {0, 4}});
  EXPECT_THAT(found.unplaced, IsEmpty());
}

TEST(ProgramWays, TheWayOutOfTheFunctionThatInsertsIsNamed) {
  const ProgramWays found =
      ways({{move(), call(1), leave(), /* 1: */ jump_if(1), kfunc(kInsert), leave()}, {0, 3}});
  EXPECT_THAT(found.dropped, ElementsAre(3));
}

TEST(ProgramWays, AProgramThatNeverInsertsHasNoWayToTell) {
  EXPECT_THAT(ways({{jump_if(1), kfunc(kOther), leave()}, {0}}).unplaced, IsEmpty());
}

TEST(ProgramWays, ATimersCallbackThatDoesNotStartItAgainIsNamed) {
  const ProgramWays found = ways({{kfunc(kStart), kfunc(kInsert), leave(), /* 1: */ jump_if(1), kfunc(kStart),
                                   leave(), /* 2: */ jump_if(0), leave()},
                                  {0, 3, 6}});
  EXPECT_THAT(found.unarmed, ElementsAre(3));
}

TEST(ProgramWays, NonsenseOfTheGuestEndsTheWalk) {
  // Jumps out of the program, no exit, a wide instruction at the end, calls of functions that do not exist, themselves.
  EXPECT_THAT(ways({{jump_if(3000), go(-30), kfunc(kInsert)}, {0}}).places, ElementsAre(2));
  EXPECT_THAT(
      ways({{call(77), call(-1), insn(BPF_LD | BPF_IMM | BPF_DW, 0, 0, BPF_PSEUDO_FUNC)}, {0}}).places,
      IsEmpty());
  EXPECT_THAT(ways({{jump_if(1), call(0), kfunc(kInsert), leave()}, {0}}).dropped, IsEmpty());
  EXPECT_THAT(ways({{}, {}}).places, IsEmpty());
  EXPECT_THAT(ways({{}, {0}}).places, IsEmpty());
}

TEST(ProgramWays, CallsAreKnownByTheKernelsNames) {
  for (const char* name : {"scx_bpf_dsq_insert", "scx_bpf_dsq_insert___v2", "__scx_bpf_dsq_insert_vtime",
                           "scx_bpf_dispatch", "scx_bpf_dispatch_vtime_from_dsq", "scx_bpf_dsq_move",
                           "scx_bpf_dsq_move_to_local___v2", "scx_bpf_consume"})
    EXPECT_EQ(call_does(name), CallDoes::kPlaces) << name;
  for (const char* name : {"scx_bpf_dispatch_nr_slots", "scx_bpf_dispatch_cancel",
                           "scx_bpf_dsq_move_set_slice", "scx_bpf_dispatch_from_dsq_set_vtime",
                           "scx_bpf_kick_cpu", "htab_map_lookup_elem", "bpf_task_storage_get"})
    EXPECT_EQ(call_does(name), CallDoes::kNothing) << name;
  for (const char* name : {"htab_map_update_elem", "queue_stack_map_push_elem", "bpf_ringbuf_output",
                           "bpf_list_push_back_impl", "bpf_rbtree_add_impl", "bpf_kptr_xchg"})
    EXPECT_EQ(call_does(name), CallDoes::kKeeps) << name;
}

}  // namespace
}  // namespace ktstr
