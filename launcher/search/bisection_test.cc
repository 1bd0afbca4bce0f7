// Which point is tried next, and what is known at the end.
#include "launcher/search/bisection.h"

#include <gtest/gtest.h>

#include <functional>

namespace ktstr {
namespace {

// Tries all; `answer_of` knows each point's answer. Returns how many were tried.
unsigned bisect(Bisection& b, const std::function<BisectAnswer(size_t)>& answer_of) {
  unsigned tried = 0;
  while (auto at = b.next()) {
    b.answer(answer_of(*at));
    if (++tried > 1000) break;
  }
  return tried;
}

TEST(Bisection, FindsTheFirstBadOneWhereverItIsInAFewRuns) {
  for (size_t points : {2u, 3u, 4u, 9u, 100u})
    for (size_t first_bad = 1; first_bad < points; ++first_bad) {
      Bisection b(points);
      const unsigned most = b.steps_left();
      const unsigned tried =
          bisect(b, [&](size_t i) { return i < first_bad ? BisectAnswer::kGood : BisectAnswer::kBad; });
      EXPECT_EQ(b.bad(), first_bad);
      EXPECT_EQ(b.good(), first_bad - 1);
      EXPECT_TRUE(b.between().empty());
      EXPECT_LE(tried, most) << points << " points, first bad " << first_bad;
    }
}

TEST(Bisection, TheEndsAreTriedFirstAndTheBadOneBeforeTheGoodOne) {
  Bisection b(10);
  EXPECT_EQ(b.next(), 9u);
  b.answer(BisectAnswer::kBad);
  EXPECT_EQ(b.next(), 0u);
  b.answer(BisectAnswer::kGood);
  EXPECT_EQ(b.next(), 4u);
}

TEST(Bisection, AnEndThatIsNotAsSaidEndsTheSearch) {
  Bisection bad(10);
  bad.answer(BisectAnswer::kGood);
  EXPECT_TRUE(bad.bad_end_is_not_bad());
  EXPECT_FALSE(bad.next());
  Bisection good(10);
  good.answer(BisectAnswer::kBad);
  good.answer(BisectAnswer::kSkip);
  EXPECT_TRUE(good.good_end_is_not_good());
  EXPECT_FALSE(good.next());
}

TEST(Bisection, SkippedPointsAreGoneAroundAndNamedWhereTheyHideTheFirstBadOne) {
  Bisection around(10);
  bisect(around, [](size_t i) {
    return i == 4 ? BisectAnswer::kSkip : i < 7 ? BisectAnswer::kGood : BisectAnswer::kBad;
  });
  EXPECT_EQ(around.bad(), 7u);
  EXPECT_TRUE(around.between().empty());
  Bisection hidden(10);
  bisect(hidden, [](size_t i) {
    return i >= 4 && i <= 6 ? BisectAnswer::kSkip : i < 5 ? BisectAnswer::kGood : BisectAnswer::kBad;
  });
  EXPECT_EQ(hidden.good(), 3u);
  EXPECT_EQ(hidden.bad(), 7u);
  EXPECT_EQ(hidden.between(), (std::vector<size_t>{4, 5, 6}));
}

TEST(Bisection, GitSkipsWhatCouldNotBeJudgedAndStopsAtAWrongCommand) {
  EXPECT_EQ(git_bisect_code(0), 0);
  EXPECT_EQ(git_bisect_code(1), 1);
  for (int code : {2, 3, 4}) EXPECT_EQ(git_bisect_code(code), 125);
  for (int code : {5, 6}) EXPECT_GT(git_bisect_code(code), 127);
  for (int code : {130, 143}) EXPECT_EQ(git_bisect_code(code), code);
}

}  // namespace
}  // namespace ktstr
