#include "reproer/ram_rings.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace ktstr {
namespace {

// A file like a guest's memory: sparse, with rings at scattered pages.
class Ram : public testing::Test {
 protected:
  Ram() : fd_(::memfd_create("ram", MFD_CLOEXEC)) { EXPECT_EQ(::ftruncate(fd_.get(), 64 << 20), 0); }
  void put(off_t at, const void* what, size_t size) {
    ASSERT_EQ(::pwrite(fd_.get(), what, size, at), static_cast<ssize_t>(size));
  }
  static ktstr_hit hit(uint64_t ns, uint32_t target = 0) {
    ktstr_hit h{};
    h.ns = ns;
    h.target = target;
    h.cpu = 1;
    h.pid = 7;
    h.data[3] = 9;
    h.seal = ktstr_seal(&h);
    return h;
  }
  void put_hit(off_t at, const ktstr_hit& h) { put(at, &h, sizeof(h)); }

  UniqueFd fd_;
};

TEST_F(Ram, SealedHitsComeByTimeWhereverTheyStand) {
  put_hit((50 << 20) + 1024, hit(30));
  put_hit(4096, hit(10));
  put_hit((20 << 20) + 3072, hit(20, 1));
  auto rings = read_rings(fd_.get(), 2);
  ASSERT_TRUE(rings.ok());
  ASSERT_EQ(rings->hits.size(), 3u);
  EXPECT_EQ(rings->hits[0].ns, 10u);
  EXPECT_EQ(rings->hits[1].target, 1u);
  EXPECT_EQ(rings->hits[2].ns, 30u);
  EXPECT_EQ(rings->hits[2].data[3], 9);
  EXPECT_FALSE(rings->state.complete);
}

TEST_F(Ram, HalfWrittenForeignAndRepeatedHitsAreLeftOut) {
  ktstr_hit torn = hit(10);
  torn.seal = 0;
  put_hit(0, torn);
  ktstr_hit changed = hit(11);
  changed.ns = 12;  // rewritten under an old seal
  put_hit(1024, changed);
  put_hit(2048, hit(13, 5));     // no such target
  put_hit(8192 + 512, hit(14));  // a copy that is not where a ring's would
  put_hit(3072, hit(15));
  put_hit(16384, hit(15));  // the same once more
  auto rings = read_rings(fd_.get(), 2);
  ASSERT_TRUE(rings.ok());
  ASSERT_EQ(rings->hits.size(), 1u);
  EXPECT_EQ(rings->hits[0].ns, 15u);
}

TEST_F(Ram, TheTriggerIsFoundWhenItWasComplete) {
  ktstr_state state{};
  state.seal = KTSTR_STATE_SEAL;
  state.ns = 99;
  state.pid = 131;
  put(40960, &state, sizeof(state));
  EXPECT_FALSE(read_rings(fd_.get(), 1)->state.complete);
  state.complete = 1;
  state.stack_bytes = 80;
  put(40960, &state, sizeof(state));
  auto rings = read_rings(fd_.get(), 1);
  EXPECT_TRUE(rings->state.complete);
  EXPECT_EQ(rings->state.pid, 131);
  EXPECT_EQ(rings->state.stack_bytes, 0) << "its pages may lie anywhere";
}

TEST_F(Ram, AnEmptyGuestHoldsNothingAndNoFileIsAnError) {
  EXPECT_TRUE(read_rings(fd_.get(), 1)->hits.empty());
  EXPECT_FALSE(read_rings(-1, 1).ok());
}

TEST_F(Ram, TheNewestAreKeptOfTooMany) {
  ASSERT_EQ(::ftruncate(fd_.get(), 256 << 20), 0);
  for (uint64_t i = 1; i <= kMaxRingHits + 10; ++i) put_hit(static_cast<off_t>(i * 1024), hit(i));
  auto rings = read_rings(fd_.get(), 1);
  ASSERT_EQ(rings->hits.size(), kMaxRingHits);
  EXPECT_EQ(rings->hits.front().ns, 11u);
}

}  // namespace
}  // namespace ktstr
