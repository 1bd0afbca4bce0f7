// What a seed means.
#include "launcher/deterministic/perturbation.h"

#include <gtest/gtest.h>

#include <set>

#include "launcher/cli/explore_command.h"

namespace ktstr {
namespace {

TEST(Perturbation, SeedZeroPerturbsNothing) {
  auto d = determinism_for(0, "random");
  ASSERT_TRUE(d);
  EXPECT_EQ(d->strategy, "none");
  EXPECT_EQ(d->icount_shift, 1);
  EXPECT_EQ(d->switch_ns + d->switch_points + d->attach_delay_ns + d->start_spread_ns, 0u);
}

TEST(Perturbation, ASeedMeansTheSameForEver) {
  // A seed in somebody's bug report: these numbers may not change.
  auto d = determinism_for(7, "random");
  ASSERT_TRUE(d);
  EXPECT_EQ(d->attach_delay_ns, 2374487u);
  EXPECT_EQ(d->start_spread_ns, 14955804u);
  EXPECT_EQ(d->icount_shift, 1);
  EXPECT_EQ(d->switch_ns, 723674u);
  EXPECT_TRUE(differences(*d, *determinism_for(7, "random")).empty());
  EXPECT_FALSE(differences(*d, *determinism_for(8, "random")).empty());
}

TEST(Perturbation, RandomSeedsReachEveryShiftAndOctaveWithinTheirBounds) {
  std::set<int> shifts;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    auto d = determinism_for(seed, "random");
    ASSERT_TRUE(d);
    shifts.insert(d->icount_shift);
    EXPECT_GE(d->switch_ns, 50'000u);
    EXPECT_LT(d->switch_ns, 1'600'000u);
    EXPECT_LT(d->start_spread_ns, 20'000'000u);
  }
  EXPECT_EQ(shifts, (std::set<int>{1, 2, 3}));
}

TEST(Perturbation, FewChangesTheTurnsAtSingleMomentsOnly) {
  auto d = determinism_for(7, "few");
  ASSERT_TRUE(d);
  EXPECT_EQ(d->switch_ns, 0u);
  EXPECT_GE(d->switch_points, 1u);
  EXPECT_FALSE(determinism_for(7, "lucky"));
}

TEST(Explore, ReadsASeedOrARange) {
  EXPECT_EQ(parse_seeds("1..200")->last, 200u);
  EXPECT_EQ(parse_seeds("7")->first, 7u);
  for (const char* bad : {"", "..", "1..", "9..3", "a..b", "1..2000000", "-1..4"})
    EXPECT_FALSE(parse_seeds(bad)) << bad;
}

TEST(Explore, CountsFailuresBySignature) {
  const std::string text = explore_text({{1, 0, "", ""},
                                         {2, 1, "x failed", "0x401 x"},
                                         {3, 1, "x failed", "0x401 x"},
                                         {4, 1, "slow", ""},
                                         {5, 3, "", ""}});
  EXPECT_EQ(text,
            "5 seeds: 1 passed, 3 failed, 1 without a verdict\n"
            "  2 × 0x401 x\n    seeds 2 3\n  1 × slow\n    seeds 4\n");
}

}  // namespace
}  // namespace ktstr
