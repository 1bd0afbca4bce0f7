#include "scx/bpf_place.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

void line(BpfProgramT& p, uint64_t at, const char* file, uint32_t number, const char* text) {
  auto l = std::make_unique<LineInfoT>();
  l->jited_addr = at;
  l->file = file;
  l->line = number;
  l->text = text;
  p.lines.push_back(std::move(l));
}

// x_enqueue at 1000, with a call in an inline wrapper, and the subprogram x_charge at 1100.
BpfProgramT program() {
  BpfProgramT p;
  p.name = "x_enqueue";
  p.tag = "0123456789abcdef";
  for (uint64_t begin : {1000, 1100}) {
    auto f = std::make_unique<BpfFunctionT>();
    f->name = begin == 1000 ? "x_enqueue" : "x_charge";
    f->address = begin;
    f->size = 100;
    p.functions.push_back(std::move(f));
  }
  line(p, 1000, "a/x.bpf.c", 6, "void BPF_PROG(x_enqueue)");
  line(p, 1010, "a/x.bpf.c", 9, "insert(p, LOCAL)");
  line(p, 1020, "inc/compat.bpf.h", 112, "scx_bpf_dsq_insert(p)");
  line(p, 1100, "a/x.bpf.c", 3, "static int x_charge(void) {");
  line(p, 1120, "a/x.bpf.c", 4, "return spend();");
  return p;
}

TEST(BpfPlace, AnInlineWrapperIsNotThePlaceButTheLineBeforeIt) {
  const ChainFrameT frame = frame_at({program()}, 1030);
  EXPECT_EQ(frame.function, "x_enqueue");
  EXPECT_EQ(frame.line, 112u);
  EXPECT_EQ(frame.own_file, "a/x.bpf.c");
  EXPECT_EQ(frame.own_line, 9u);
  EXPECT_EQ(frame.own_text, "insert(p, LOCAL)");
}

TEST(BpfPlace, ALineOfTheFunctionsOwnFileStandsAlone) {
  const ChainFrameT frame = frame_at({program()}, 1125);
  EXPECT_EQ(frame.function, "x_charge");
  EXPECT_EQ(frame.line, 4u);
  EXPECT_EQ(frame.own_line, 0u);
}

TEST(BpfPlace, AReturnAddressBelongsToTheCallBeforeIt) {
  EXPECT_EQ(frame_at({program()}, 1020).line, 9u);
  EXPECT_EQ(frame_at({program()}, 1200).function, "x_charge");
}

TEST(BpfPlace, WhereNoProgramIsThereIsNoFrame) {
  EXPECT_TRUE(frame_at({program()}, 5000).function.empty());
  EXPECT_TRUE(frame_at({}, 1010).function.empty());
  BpfProgramT bare = program();
  bare.lines.clear();
  EXPECT_EQ(frame_at({bare}, 1030).line, 0u);
}

}  // namespace
}  // namespace ktstr
