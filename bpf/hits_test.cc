#include "bpf/hits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "schemas/repro_generated.h"

namespace ktstr::probe {
namespace {

ktstr_hit hit(uint32_t target, uint64_t ns, int pid, uint32_t when = KTSTR_ENTRY) {
  ktstr_hit h{};
  h.target = target;
  h.ns = ns;
  h.pid = pid;
  h.when = when;
  return h;
}

TEST(SelectHits, TheCrashingTasksNewestAndOneOfEachTarget) {
  Capture c;
  c.state.complete = 1;
  c.state.pid = 9;
  for (uint64_t i = 0; i < 10; ++i) c.hits.push_back(hit(0, i, i % 2 ? 9 : 5));
  c.hits.push_back(hit(1, 20, 5));
  c.hits.push_back(hit(1, 21, 5, KTSTR_EXIT));
  EXPECT_THAT(select_hits(c, 2, {.of_task = 3, .per_target = 1}), testing::ElementsAre(5, 7, 9, 10, 11));
  c.state.complete = 0;
  EXPECT_THAT(select_hits(c, 2, {.of_task = 3, .per_target = 2}), testing::ElementsAre(8, 9, 10, 11));
}

TEST(SelectHits, AHistoryIsOfTheCrashingCpu) {
  Capture c;
  c.state.complete = 1;
  c.state.pid = 9;
  c.state.cpu = 1;
  for (uint64_t i = 0; i < 8; ++i) {
    c.hits.push_back(hit(0, i, 5));
    c.hits.back().cpu = i < 5 ? 1 : 0;
  }
  EXPECT_THAT(select_hits(c, 1, {.history = 3}), testing::ElementsAre(2, 3, 4, 7));
}

TEST(SelectHits, AnotherCpusIdleTaskIsAnotherTask) {
  Capture c;
  c.state.complete = 1;
  c.state.pid = 0;
  c.state.cpu = 1;
  for (uint64_t i = 0; i < 6; ++i) {
    c.hits.push_back(hit(0, i, 0));
    c.hits.back().cpu = i < 3 ? 1 : 0;
  }
  EXPECT_THAT(select_hits(c, 1, {.of_task = 2, .history = 0}), testing::ElementsAre(1, 2, 5));
}

TEST(SelectHits, AForeignTargetIsLeftOut) {
  Capture c;
  c.hits.push_back(hit(77, 1, 1));
  EXPECT_TRUE(select_hits(c, 2, {}).empty());
}

TEST(ToEvent, BytesAreCutIntoTheValuesOfThePlan) {
  ProbeTargetT t;
  t.id = 4;
  t.nargs = 2;
  auto value = [&](uint8_t arg, ValueFormat format, uint16_t size, std::vector<uint32_t> offsets) {
    auto v = std::make_unique<ValueSpecT>();
    v->arg = arg;
    v->format = format;
    v->size = size;
    v->offsets = std::move(offsets);
    t.values.push_back(std::move(v));
  };
  value(1, ValueFormat::Unsigned, 8, {});
  value(0, ValueFormat::Unsigned, 4, {8});
  value(0, ValueFormat::String, 16, {16});
  value(255, ValueFormat::Signed, 4, {});
  ktstr_hit h = hit(4, 5, 6, KTSTR_EXIT);
  h.raw[1] = 77;
  h.raw[KTSTR_RETURN] = 3;
  h.failed = 1u << 0;  // both lie behind one pointer and are read at once
  for (int i = 0; i < 32; ++i) h.data[i] = static_cast<uint8_t>(i);
  std::strcpy(h.comm, "comm");
  ProbeHitT e = to_event(h, t, plan_reads(t), 12);
  EXPECT_EQ(e.when, HitWhen::Exit);
  EXPECT_EQ(e.retval, 3u);
  EXPECT_EQ(e.comm, "comm");
  EXPECT_THAT(e.raw_args, testing::ElementsAre(0, 77));
  ASSERT_EQ(e.values.size(), 4u);
  EXPECT_EQ(e.values[0]->data[0], 77);
  EXPECT_THAT(e.values[1]->data, testing::ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(e.values[2]->data[0], 8);
  EXPECT_TRUE(e.values[2]->failed);
  EXPECT_EQ(e.values[3]->data[0], 3);
}

TEST(StackText, NamesLoseTheirModuleAddressesStay) {
  ktstr_state s{};
  s.stack_bytes = 16;
  s.stack[1] = 0xffff;
  std::strcpy(s.symbols[0], "x_place+0x3/0x9 [bpf]");
  EXPECT_THAT(stack_text(s), testing::ElementsAre("x_place+0x3/0x9", "0xffff"));
  s.stack_bytes = 1 << 20;
  EXPECT_EQ(stack_text(s).size(), size_t{KTSTR_STACK_FRAMES});
  s.stack_bytes = -22;
  EXPECT_TRUE(stack_text(s).empty());
}

}  // namespace
}  // namespace ktstr::probe
