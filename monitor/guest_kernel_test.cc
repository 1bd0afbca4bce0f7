#include "monitor/guest_kernel.h"

#include <gtest/gtest.h>

#include "monitor/testing/synthetic_kernel.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::VectorRam;

Result<GuestKernel> attach(const SyntheticKernel& kernel, LayoutCache& cache) {
  return GuestKernel::attach(kernel.ram(), kernel.ram_layout(), cache);
}

TEST(GuestKernel, Attaches) {
  SyntheticKernel synthetic({.cpus = 6, .levels5 = true});
  LayoutCache cache;
  const auto kernel = attach(synthetic, cache);
  ASSERT_TRUE(kernel.ok()) << kernel.error().message();
  EXPECT_EQ(kernel->info().release(), "9.9.9-synthetic");
  EXPECT_TRUE(kernel->levels5());
  EXPECT_EQ(kernel->cpus(), 6u);
  EXPECT_EQ(kernel->per_cpu(kernel->places().runqueues, 5), synthetic.at("rq5"));
  EXPECT_EQ(kernel->places().scx_root, synthetic.at("scx_root"));
  EXPECT_FALSE(kernel->cached());
  EXPECT_TRUE(kernel->layout().absent.empty()) << kernel->layout().absent[0];
}

TEST(GuestKernel, TheSecondBootOfABuildComesFromTheCacheWhateverItsKaslr) {
  LayoutCache cache;
  ASSERT_TRUE(attach(SyntheticKernel({.kaslr = 0x1000000}), cache).ok());
  SyntheticKernel second({.kaslr = 0x2a000000});
  const auto kernel = attach(second, cache);
  ASSERT_TRUE(kernel.ok());
  EXPECT_TRUE(kernel->cached());
  EXPECT_EQ(kernel->places().scx_root, second.at("scx_root"));
}

TEST(GuestKernel, NothingThereYet) {
  VectorRam ram(1 << 20);
  LayoutCache cache;
  const auto kernel = GuestKernel::attach(ram, {}, cache);
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kNotFound);
}

TEST(GuestKernel, StillBooting) {
  SyntheticKernel synthetic;
  LayoutCache cache;
  synthetic.poke<uint32_t>(synthetic.at("system_state"), 1);
  const auto kernel = attach(synthetic, cache);
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kNotFound);
  synthetic.poke<uint32_t>(synthetic.at("system_state"), 3);
  EXPECT_TRUE(attach(synthetic, cache).ok());
}

TEST(GuestKernel, StepsOverAStaleNote) {
  SyntheticKernel synthetic;
  std::vector<uint8_t> note(4096);
  ASSERT_TRUE(synthetic.ram().read(SyntheticKernel::kNoteOffset, note.data(), note.size()));
  auto& ram = const_cast<VectorRam&>(synthetic.ram());
  ram.write(SyntheticKernel::kNoteOffset + 4096, note.data(), note.size());
  const char* text = "OSRELEASE=stale\nNUMBER(phys_base)=0\nSYMBOL(init_top_pgt)=ffffffff81000000\n\0";
  ram.write(SyntheticKernel::kNoteOffset + 24, text, strlen(text) + 1);
  LayoutCache cache;
  const auto kernel = attach(synthetic, cache);
  ASSERT_TRUE(kernel.ok()) << kernel.error().message();
  EXPECT_EQ(kernel->info().release(), "9.9.9-synthetic");
}

TEST(GuestKernel, PhysBaseThatDisagreesIsStale) {
  SyntheticKernel synthetic;
  synthetic.poke<uint64_t>(synthetic.at("phys_base"), 4096);
  LayoutCache cache;
  EXPECT_NE(attach(synthetic, cache).error().message().find("stale"), std::string::npos);
}

TEST(GuestKernel, AbsurdCpuCount) {
  SyntheticKernel synthetic;
  LayoutCache cache;
  for (const uint32_t count : {0u, 70000u, 0xffffffffu}) {
    synthetic.poke<uint32_t>(synthetic.at("nr_cpu_ids"), count);
    EXPECT_FALSE(attach(synthetic, cache).ok()) << count;
  }
  synthetic.poke<uint32_t>(synthetic.at("nr_cpu_ids"), 5000);  // more than is looked at
  const auto kernel = attach(synthetic, cache);
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->cpus(), GuestKernel::kMaxCpus);
}

TEST(GuestKernel, OnlineMask) {
  SyntheticKernel synthetic;
  LayoutCache cache;
  const auto kernel = attach(synthetic, cache);
  ASSERT_TRUE(kernel.ok());
  synthetic.poke<uint64_t>(synthetic.at("__cpu_online_mask"), 0b1011 | (1ull << 40));
  std::vector<uint16_t> online;
  kernel->read_online(online);
  EXPECT_EQ(online, (std::vector<uint16_t>{0, 1, 3}));
}

// A direct map that the page tables contradict is walked, not believed.
TEST(GuestKernel, ALyingPageOffsetBase) {
  SyntheticKernel synthetic;
  synthetic.poke<uint64_t>(synthetic.at("page_offset_base"), synthetic.direct_map() + 0x200000);
  LayoutCache cache;
  const auto kernel = attach(synthetic, cache);
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->memory().translate(synthetic.at("rq1")), synthetic.offset_of(synthetic.at("rq1")));
}

}  // namespace
}  // namespace ktstr
