#include "monitor/guest_memory.h"

#include <gtest/gtest.h>

#include "monitor/testing/synthetic_kernel.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::VectorRam;

class PageWalk : public ::testing::TestWithParam<bool> {
 protected:
  PageWalk() : kernel_({.levels5 = GetParam()}), physical_(kernel_.ram(), kernel_.ram_layout()) {}
  PageTableRoot root() const { return {kernel_.root_gpa(), GetParam()}; }
  SyntheticKernel kernel_;
  PhysicalMemory physical_;
};
INSTANTIATE_TEST_SUITE_P(FourAndFiveLevels, PageWalk, ::testing::Values(false, true));

TEST_P(PageWalk, LargeAndSmallPages) {
  for (const uint64_t va :
       {kernel_.at("nr_cpu_ids"), kernel_.at("rq1"), kernel_.at("program3"), kernel_.direct_map()}) {
    EXPECT_EQ(walk_page_tables(physical_, root(), va), kernel_.offset_of(va)) << std::hex << va;
  }
}

TEST_P(PageWalk, NotMapped) {
  EXPECT_FALSE(walk_page_tables(physical_, root(), 0));
  EXPECT_FALSE(walk_page_tables(physical_, root(), kernel_.vmalloc_va() + (1u << 30)));
  EXPECT_FALSE(walk_page_tables(physical_, root(), 0x0100000000000000ull));  // not canonical
  EXPECT_FALSE(walk_page_tables(physical_, root(), ~0ull));
}

TEST_P(PageWalk, TheWrongNumberOfLevelsDoesNotTranslate) {
  EXPECT_FALSE(walk_page_tables(physical_, {kernel_.root_gpa(), !GetParam()}, kernel_.at("rq1")));
}

TEST_P(PageWalk, ReadCrossesPages) {
  const PagedMemory memory(physical_, root());
  const uint64_t va = (kernel_.at("vmalloc") & ~4095ull) + 4096 - 4;
  kernel_.write(va, "abcdefgh", 8);  // the two pages are not neighbours in RAM
  char got[8];
  ASSERT_TRUE(memory.read(va, got, 8));
  EXPECT_EQ(std::string(got, 8), "abcdefgh");
}

TEST(PageTables, OutsideRamAndInALoop) {
  VectorRam ram(1 << 20);
  const PhysicalMemory memory(ram, {});
  EXPECT_FALSE(walk_page_tables(memory, {1ull << 40, false}, 0x1000));
  const uint64_t to_itself = 0x1000 | 1;
  for (uint64_t i = 0; i < 512; ++i) ram.write(0x1000 + i * 8, &to_itself, 8);
  EXPECT_EQ(walk_page_tables(memory, {0x1000, true}, 0x2345), 0x1345u);  // five levels, then it ends
  const uint64_t outside = 0x000ffffffffff000ull | 1;
  for (uint64_t i = 0; i < 512; ++i) ram.write(0x1000 + i * 8, &outside, 8);
  EXPECT_FALSE(walk_page_tables(memory, {0x1000, true}, 0x2345));
}

TEST(PagedMemory, ForgetsRemappedPages) {
  SyntheticKernel kernel;
  const PhysicalMemory physical(kernel.ram(), kernel.ram_layout());
  PagedMemory memory(physical, {kernel.root_gpa(), false});
  ASSERT_TRUE(memory.translate(kernel.at("program0")));
  const uint64_t zero = 0;
  const_cast<VectorRam&>(kernel.ram())
      .write(kernel.root_gpa() + ((kernel.at("program0") >> 39) & 511) * 8, &zero, 8);
  EXPECT_TRUE(memory.translate(kernel.at("program0")));  // remembered
  memory.forget();
  EXPECT_FALSE(memory.translate(kernel.at("program0")));
}

TEST(PagedMemory, ReadAtTheEndOfTheAddressSpace) {
  SyntheticKernel kernel;
  const PhysicalMemory physical(kernel.ram(), kernel.ram_layout());
  const PagedMemory memory(physical, {kernel.root_gpa(), false});
  uint64_t got;
  EXPECT_FALSE(memory.read(UINT64_MAX - 3, &got, 8));
}

TEST(GuestMemory, TextIsBounded) {
  SyntheticKernel kernel;
  const PhysicalMemory physical(kernel.ram(), kernel.ram_layout());
  const PagedMemory memory(physical, {kernel.root_gpa(), false});
  const uint64_t va = kernel.at("scx");
  kernel.write(va, "0123456789", 11);
  EXPECT_EQ(memory.text(va, 100), "0123456789");
  EXPECT_EQ(memory.text(va, 4), "0123");
  EXPECT_FALSE(memory.text(12, 4));
  // Unterminated, up to the end of what is mapped.
  const uint64_t end = kernel.direct_map() + kernel.ram().size();
  const std::string tail(100, 'x');
  kernel.write(end - 100, tail.data(), 100);
  EXPECT_EQ(memory.text(end - 100, 4096), tail);
}

}  // namespace
}  // namespace ktstr
