#include "bpf/btf_view.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "bpf/elf_btf.h"

namespace ktstr {
namespace {

BtfView sample() {
  auto bytes = read_elf_btf(KTSTR_BTF_SAMPLE);
  EXPECT_TRUE(bytes.ok());
  auto view = BtfView::from_bytes(*bytes);
  EXPECT_TRUE(view.ok());
  return std::move(*view);
}

TEST(BtfView, FieldOffsets) {
  BtfView v = sample();
  auto pid = v.field("sample_task", "pid");
  ASSERT_TRUE(pid.ok());
  EXPECT_EQ(pid->offset, 0u);
  EXPECT_EQ(pid->size, 4u);
  auto high = v.field("sample_task", "high");  // through two anonymous levels
  ASSERT_TRUE(high.ok());
  EXPECT_EQ(high->offset, 28u);
  auto slice = v.field("sample_task", "scx.slice");
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->offset, 40u);
  auto bits = v.field("sample_task", "scx.second");
  ASSERT_TRUE(bits.ok());
  EXPECT_EQ(bits->offset, 48u);
  EXPECT_EQ(bits->bit_offset, 3u);
  EXPECT_EQ(bits->bit_size, 5u);
}

TEST(BtfView, MissingMemberIsNamed) {
  BtfView v = sample();
  auto f = v.field("sample_task", "scx.nothing");
  ASSERT_FALSE(f.ok());
  EXPECT_EQ(f.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(f.error().message().find("'nothing'"), std::string::npos);
  EXPECT_FALSE(v.field("no_such", "pid").ok());
  EXPECT_FALSE(v.field("sample_task", "scx.dsq.id").ok());  // a pointer is in the way
}

TEST(BtfView, ChainPassesPointers) {
  BtfView v = sample();
  auto c = v.chain(*v.find_struct("sample_task"), "scx.dsq.next.id");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->offsets, (std::vector<uint32_t>{32, 16, 8}));
  EXPECT_EQ(v.type_name(c->last.type_id), "u64");
}

TEST(BtfView, SignatureReadsAsC) {
  BtfView v = sample();
  auto f = v.function("sample_enqueue");
  ASSERT_TRUE(f.ok());
  EXPECT_EQ(f->signature,
            "int sample_enqueue(struct sample_task *p, const char *name, u64 flags, enum sample_flags how)");
  ASSERT_EQ(f->parameters.size(), 4u);
  EXPECT_EQ(v.resolve(f->parameters[0].type_id).cls, BtfClass::kPointer);
  EXPECT_EQ(v.resolve(v.resolve(f->parameters[0].type_id).target).name, "sample_task");
  auto call = v.field("sample_task", "call");
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(v.declaration(call->type_id, "call"), "int (*call)(struct sample_task *, u64)");
  auto comm = v.field("sample_task", "comm");
  EXPECT_EQ(v.declaration(comm->type_id, "comm"), "char comm[16]");
}

TEST(BtfView, TracepointDropsItsFirstParameter) {
  auto t = sample().tracepoint("sample_event");
  ASSERT_TRUE(t.ok());
  ASSERT_EQ(t->parameters.size(), 2u);
  EXPECT_EQ(t->signature, "void sample_event(struct sample_task *, unsigned int)");
}

TEST(BtfView, Enumerators) {
  BtfView v = sample();
  EXPECT_EQ(v.enum_value("sample_big", "SAMPLE_TOP"), 1ull << 63);
  EXPECT_EQ(v.enum_value("sample_signed", "SAMPLE_MINUS"), ~0ull);
  EXPECT_EQ(v.enum_value("sample_flags", "SAMPLE_HEAD"), 16u);
  EXPECT_EQ(v.enum_value("sample_flags", "SAMPLE_TOP"), std::nullopt);
}

// libbpf's btf_dump never returns from such a type (1.4.6), so it is not used.
TEST(BtfView, ATypeThatRefersToItselfHasAName) {
  std::unique_ptr<btf, decltype(&btf__free)> made(btf__new_empty(), btf__free);
  const int pointer = btf__add_ptr(made.get(), 1);
  const int qualified = btf__add_const(made.get(), 3);
  ASSERT_EQ(btf__add_volatile(made.get(), qualified), 3);
  uint32_t size = 0;
  const auto* raw = static_cast<const uint8_t*>(btf__raw_data(made.get(), &size));
  auto view = BtfView::from_bytes(std::span(raw, size));
  ASSERT_TRUE(view.ok());
  for (int id : {pointer, qualified, 3}) EXPECT_FALSE(view->type_name(static_cast<uint32_t>(id)).empty());
}

TEST(BtfView, BrokenBytesAreRefused) {
  auto bytes = read_elf_btf(KTSTR_BTF_SAMPLE);
  ASSERT_TRUE(bytes.ok());
  EXPECT_FALSE(BtfView::from_bytes({}).ok());
  for (size_t cut = 0; cut < bytes->size(); cut += 7)
    EXPECT_FALSE(BtfView::from_bytes(std::span(*bytes).first(cut)).ok()) << cut;
  // A flipped byte may pass, but then every question must still be answered without harm.
  for (size_t i = 0; i < bytes->size(); i += 3) {
    auto bent = *bytes;
    bent[i] ^= 0x5a;
    auto v = BtfView::from_bytes(bent);
    if (!v) continue;
    for (uint32_t id = 0; id < v->type_count() + 2; ++id) {
      v->type_name(id);
      v->members(id);
      v->enumerators(id);
      (void)v->function(id).ok();
    }
    (void)v->field("sample_task", "scx.slice").ok();
  }
}

}  // namespace
}  // namespace ktstr
