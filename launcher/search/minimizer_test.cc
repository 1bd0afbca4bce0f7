// Which run comes next, and what it proves.
#include "launcher/search/minimizer.h"

#include <gtest/gtest.h>

#include "spec/spec.h"

namespace ktstr {
namespace {

TestSpecT small() {
  auto tests = parse_tests(
      "[[test]]\nname = \"t\"\nduration_s = 0.1\n[[test.cgroup]]\nname = \"a\"\n[[test.cgroup]]\nname = "
      "\"b\"\n"
      "workers = 2\n",
      "s.toml", {});
  EXPECT_TRUE(tests);
  return test_to_shrink(tests->front().spec);
}

TEST(Minimizer, TheUnreducedTestComesFirstAndWithoutItsFailureNothingIsProved) {
  Minimizer m(small(), {.failure = "F", .seed = 7, .tries = 2});
  auto trial = m.next();
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->spec->cgroups.size(), 2u);
  EXPECT_EQ(trial->seed, 7u);
  EXPECT_FALSE(m.ended("", "passed"));
  trial = m.next();
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->seed, 8u);
  EXPECT_FALSE(m.ended("another failure", "fails: another failure"));
  EXPECT_FALSE(m.next());
  EXPECT_FALSE(m.reproduced());
}

TEST(Minimizer, ACandidateIsTriedWithFurtherSeedsAndTheOneThatFailsComesFirstFromThenOn) {
  Minimizer m(small(), {.failure = "F", .seed = 7, .tries = 3});
  ASSERT_TRUE(m.next());
  EXPECT_TRUE(m.ended("F", ""));
  // Without both groups: it passes under all seeds.
  for (uint64_t seed : {7, 8, 9}) {
    auto trial = m.next();
    ASSERT_TRUE(trial);
    EXPECT_EQ(trial->seed, seed);
    EXPECT_TRUE(trial->spec->cgroups.empty());
    EXPECT_FALSE(m.ended("", "passed"));
  }
  // Without the first: it fails with the third seed only.
  for (uint64_t seed : {7, 8, 9}) {
    auto trial = m.next();
    ASSERT_TRUE(trial);
    EXPECT_EQ(trial->seed, seed);
    ASSERT_EQ(trial->spec->cgroups.size(), 1u);
    EXPECT_EQ(m.ended(seed == 9 ? "F" : "", "passed"), seed == 9);
  }
  EXPECT_EQ(m.best().cgroups.size(), 1u);
  EXPECT_EQ(m.seed(), 9u);
  auto trial = m.next();
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->seed, 9u);
  ASSERT_EQ(m.records().size(), 3u);
  EXPECT_FALSE(m.records()[1].gone);
  EXPECT_EQ(m.records()[1].tries, 3u);
  EXPECT_TRUE(m.records()[2].gone);
}

TEST(Minimizer, AFailureOfAnotherKindIsNoSuccess) {
  Minimizer m(small(), {.failure = "", .seed = std::nullopt, .tries = 1});
  ASSERT_TRUE(m.next());
  EXPECT_TRUE(m.ended("the first one is looked for", ""));
  EXPECT_EQ(m.failure(), "the first one is looked for");
  while (auto trial = m.next()) {
    EXPECT_FALSE(trial->seed);
    EXPECT_FALSE(m.ended("another", "fails: another"));
  }
  EXPECT_EQ(m.best().cgroups.size(), 2u);
  EXPECT_NE(records_text(m.records()).find("kept: fails: another"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
