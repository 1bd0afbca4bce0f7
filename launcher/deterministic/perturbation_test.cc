// What a seed means.
#include "launcher/deterministic/perturbation.h"

#include <gtest/gtest.h>

#include <set>

#include "launcher/cli/explore_command.h"
#include "launcher/deterministic/carriers.h"

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
  // A seed in somebody's bug report: these numbers may not change (switch_ns did, on 2026-11-26, with what it means).
  auto d = determinism_for(7, "random");
  ASSERT_TRUE(d);
  EXPECT_EQ(d->attach_delay_ns, 2374487u);
  EXPECT_EQ(d->start_spread_ns, 14955804u);
  EXPECT_EQ(d->icount_shift, 1);
  EXPECT_EQ(d->switch_ns, 74202u);
  EXPECT_TRUE(differences(*d, *determinism_for(7, "random")).empty());
  EXPECT_FALSE(differences(*d, *determinism_for(8, "random")).empty());
}

TEST(Perturbation, RandomSeedsReachEveryShiftAndOctaveWithinTheirBounds) {
  std::set<int> shifts;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    auto d = determinism_for(seed, "random");
    ASSERT_TRUE(d);
    shifts.insert(d->icount_shift);
    EXPECT_GE(d->switch_ns, 256u);
    EXPECT_LT(d->switch_ns, 256u << 13);
    EXPECT_LT(d->start_spread_ns, 20'000'000u);
  }
  EXPECT_EQ(shifts, (std::set<int>{1, 2, 3}));
}

TEST(Perturbation, FewChangesTheTurnsInAFewWindowsOnly) {
  std::set<size_t> sizes;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    auto d = determinism_for(seed, "few");
    ASSERT_TRUE(d);
    EXPECT_EQ(d->switch_ns, 0u);
    EXPECT_EQ(d->icount_shift, 1u);
    EXPECT_GE(d->window_ns, 32u);
    EXPECT_LT(d->window_ns, 32u << 6);
    EXPECT_TRUE(std::is_sorted(d->windows.begin(), d->windows.end()));
    for (uint16_t at : d->windows) EXPECT_LT(at, 1000);
    sizes.insert(d->windows.size());
  }
  EXPECT_EQ(sizes, (std::set<size_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_FALSE(determinism_for(7, "lucky"));
}

TEST(Perturbation, APerturbationThatIsDroppedIsGoneAndTheOthersStay) {
  auto all = determinism_for(7, "random");
  auto less = determinism_for(7, "random", "turns,attach");
  ASSERT_TRUE(all && less);
  EXPECT_EQ(less->switch_ns, 0u);
  EXPECT_EQ(less->attach_delay_ns, 0u);
  EXPECT_EQ(less->start_spread_ns, all->start_spread_ns);
  EXPECT_EQ(less->dropped, "turns,attach");
  EXPECT_EQ(perturbations_of(*all).size(), perturbations_of(*less).size() + 2);

  uint64_t seed = 1;
  while (determinism_for(seed, "few")->windows.size() < 3) ++seed;
  auto few = determinism_for(seed, "few"), without = determinism_for(seed, "few", "window:2");
  ASSERT_TRUE(few && without);
  auto expected = few->windows;
  expected.erase(expected.begin() + 1);
  EXPECT_EQ(without->windows, expected);
  EXPECT_EQ(without->window_ns, few->window_ns);
}

TEST(Perturbation, ANameThatTheSeedDoesNotHaveIsRefusedWithThoseThatItHas) {
  auto wrong = determinism_for(7, "random", "window:1");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().hint().find("turns"), std::string::npos) << wrong.error().hint();
  EXPECT_FALSE(determinism_for(0, "random", "turns"));
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

TEST(WhyDeterministic, AQemuOfWhichNothingWasProvedIsNamed) {
  EXPECT_EQ(why_deterministic({7, 2}), "a deterministic run needs it");
  EXPECT_NE(why_deterministic({8, 2}).find("with this one it may take another"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
