#include "spec/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace ktstr {
namespace {

using ::testing::HasSubstr;

bool matches(std::string_view expression, FilterSubject subject = {"enqueue_crash", "7.2.13-cloud", "demo"}) {
  auto filter = Filter::parse(expression);
  EXPECT_TRUE(filter.ok()) << filter.error().to_string();
  return filter.ok() && filter->matches(subject);
}

std::string refusal(std::string_view expression) {
  auto filter = Filter::parse(expression);
  if (filter.ok()) return "(accepted)";
  EXPECT_EQ(filter.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(filter.error().hint().empty()) << expression;
  return filter.error().message();
}

TEST(FilterTest, Matchers) {
  EXPECT_TRUE(matches("test(crash)"));
  EXPECT_TRUE(matches("test(enqueue_crash)"));
  EXPECT_FALSE(matches("test(Crash)"));
  EXPECT_FALSE(matches("test(=crash)"));
  EXPECT_TRUE(matches("test(=enqueue_crash)"));
  EXPECT_TRUE(matches("test( = enqueue_crash )"));
  EXPECT_TRUE(matches("test(~crash)"));
  EXPECT_TRUE(matches("test(/^enq.*h$/)"));
  EXPECT_FALSE(matches("test(/^crash/)"));
  EXPECT_TRUE(matches(R"(test(/a\/b/))", {"xa/by", "", ""}));
  EXPECT_TRUE(matches(R"(test(/(a|b)\d+/))", {"b12", "", ""}));
  EXPECT_TRUE(matches("test(#enq*)"));
  EXPECT_TRUE(matches("test(#*_cra?h)"));
  EXPECT_FALSE(matches("test(#crash*)"));
  EXPECT_TRUE(matches("test(#*)"));
  EXPECT_TRUE(matches(R"(test(=a\)b\\))", {R"(a)b\)", "", ""}));
  EXPECT_TRUE(matches("scheduler(=demo)"));
  EXPECT_FALSE(matches("scheduler(none)"));
  EXPECT_TRUE(matches("all()"));
  EXPECT_FALSE(matches("none()"));
}

TEST(FilterTest, AKernelIsNamedByItsSeries) {
  EXPECT_TRUE(matches("kernel(7.2)"));
  EXPECT_TRUE(matches("kernel(7)"));
  EXPECT_TRUE(matches("kernel(7.2.13)"));
  EXPECT_FALSE(matches("kernel(7.2.1)"));
  EXPECT_FALSE(matches("kernel(7.2)", {"x", "7.20.1", ""}));
  EXPECT_FALSE(matches("kernel(7.2)", {"x", "6.17.2", ""}));
  EXPECT_TRUE(matches("kernel(~7.2)", {"x", "6.17.2", ""}));
  EXPECT_TRUE(matches("kernel(/cloud$/)"));
  EXPECT_FALSE(matches("kernel(7.2)", {"x", "", ""}));
}

TEST(FilterTest, OperatorsAndTheirOrder) {
  EXPECT_TRUE(matches("test(crash) and kernel(7.2)"));
  EXPECT_FALSE(matches("test(crash) and kernel(6.16)"));
  EXPECT_TRUE(matches("test(crash) or kernel(6.16)"));
  EXPECT_FALSE(matches("not test(crash)"));
  EXPECT_TRUE(matches("not not test(crash)"));
  EXPECT_FALSE(matches("!test(crash)"));
  EXPECT_TRUE(matches("all() - kernel(6.16)"));
  EXPECT_FALSE(matches("all() - kernel(7.2)"));
  // and before or, not before and.
  EXPECT_TRUE(matches("all() or none() and none()"));
  EXPECT_FALSE(matches("(all() or none()) and none()"));
  EXPECT_FALSE(matches("not none() and none()"));
  EXPECT_TRUE(matches("not (none() and none())"));
  EXPECT_TRUE(matches("test(a)&kernel(7)|none()+none()"));
  EXPECT_TRUE(matches("all() && all() || none()"));
  EXPECT_TRUE(matches("  (\ttest(crash)\n)  "));
  EXPECT_TRUE(matches("not(none())"));
}

TEST(FilterTest, EveryTwoOperatorExpressionAgreesWithAnOracle) {
  const char* kValues[] = {"none()", "all()"};
  for (int bits = 0; bits < 8; ++bits) {
    bool a = bits & 1, b = bits & 2, c = bits & 4;
    auto expression = [&](const char* first, const char* second) {
      return std::string(kValues[a]) + first + kValues[b] + second + kValues[c];
    };
    EXPECT_EQ(matches(expression(" and ", " or ")), (a && b) || c);
    EXPECT_EQ(matches(expression(" or ", " and ")), a || (b && c));
    EXPECT_EQ(matches(expression(" - ", " or ")), (a && !b) || c);
    EXPECT_EQ(matches(expression(" and not ", " - ")), a && !b && !c);
    EXPECT_EQ(matches(expression(" or not ", " and ")), a || (!b && c));
  }
}

TEST(FilterTest, SeveralExpressionsAddUp) {
  auto filter = Filter::parse_any({"test(=a)", "kernel(7.2) and scheduler(demo)"});
  ASSERT_TRUE(filter.ok());
  EXPECT_TRUE(filter->matches({"a", "6.16", "none"}));
  EXPECT_TRUE(filter->matches({"b", "7.2.1", "demo"}));
  EXPECT_FALSE(filter->matches({"b", "7.2.1", "none"}));
  EXPECT_THAT(Filter::parse_any({"all()", "test("}).error().message(), HasSubstr("never closed"));
}

TEST(FilterTest, MistakesPointAtThePlace) {
  EXPECT_EQ(refusal("test(foo) and tset(bar)"),
            "filter expression: unknown condition \"tset\"\n"
            "  test(foo) and tset(bar)\n"
            "                ^");
  EXPECT_EQ(refusal("test(foo"),
            "filter expression: this '(' is never closed\n"
            "  test(foo\n"
            "      ^");
  EXPECT_EQ(refusal(""), "filter expression: the expression ends where a condition should stand\n  \n  ^");
  EXPECT_THAT(refusal("test(a) and"), HasSubstr("ends where a condition should stand"));
  EXPECT_THAT(refusal("test(a) test(b)"), HasSubstr("expected and, or, or the end of the expression"));
  EXPECT_THAT(refusal("(test(a) test(b))"), HasSubstr("expected and, or, or ')'"));
  EXPECT_THAT(refusal("test(a))"), HasSubstr("this ')' closes nothing"));
  EXPECT_THAT(refusal("(test(a)"), HasSubstr("this '(' is never closed"));
  EXPECT_THAT(refusal("my_test"), HasSubstr("unknown condition \"my_test\""));
  EXPECT_EQ(Filter::parse("my_test").error().hint(), "write test(my_test)");
  EXPECT_EQ(Filter::parse("tset(x)").error().hint(), "did you mean test(…)?");
  EXPECT_THAT(refusal("test"), HasSubstr("expected '(' after \"test\""));
  EXPECT_THAT(refusal("test()"), HasSubstr("nothing to look for"));
  EXPECT_THAT(refusal("test(=)"), HasSubstr("nothing to look for"));
  EXPECT_THAT(refusal("test(//)"), HasSubstr("an empty regex"));
  EXPECT_THAT(refusal("test(/abc)"), HasSubstr("this '/' is never closed"));
  EXPECT_THAT(refusal("test(/abc/"), HasSubstr("this '(' is never closed"));
  EXPECT_THAT(refusal("test(/a/b/)"), HasSubstr("expected ')' after the regex"));
  EXPECT_THAT(refusal("test(/(/)"), HasSubstr("not a valid RE2 expression: missing ): ("));
  EXPECT_THAT(refusal("all(x)"), HasSubstr("\"all\" takes nothing"));
  EXPECT_THAT(refusal("and test(a)"), HasSubstr("expected a condition before \"and\""));
  EXPECT_THAT(refusal("test(a) and or test(b)"), HasSubstr("expected a condition before \"or\""));
  EXPECT_THAT(refusal("test(a(b))"), HasSubstr("a '(' inside a name"));
  EXPECT_THAT(refusal("\"x\""), HasSubstr("expected a condition"));
  EXPECT_THAT(refusal("test(a)\x1b[31m"), ::testing::Not(HasSubstr("\x1b")));
}

TEST(FilterTest, DepthAndLengthAreBounded) {
  EXPECT_THAT(refusal(std::string(5000, '(') + "all()" + std::string(5000, ')')), HasSubstr("levels deep"));
  std::string nots;
  for (int i = 0; i < 5000; ++i) nots += "not ";
  EXPECT_THAT(refusal(nots + "all()"), HasSubstr("levels deep"));
  std::string chain = "none()";
  for (int i = 0; i < 5000; ++i) chain += " or none()";
  EXPECT_FALSE(matches(chain));
  EXPECT_TRUE(matches(chain + " or all()"));
  EXPECT_FALSE(Filter::parse(std::string(100000, ' ')).ok());
}

TEST(FilterTest, RandomTextNeverCrashes) {
  std::mt19937 random(3);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const char* kPieces[] = {"test(", "kernel(", ")", "(",  "and ", "or ", "not ",  "-",    "!",
                           "/",     "\\",      "=", "#*", "a",    " ",   "all()", "\xff", "~"};
  int good = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = below(12); n > 0; --n) text += kPieces[below(std::size(kPieces))];
    auto filter = Filter::parse(text);
    if (filter.ok()) {
      ++good;
      (void)filter->matches({"a", "7.2", "x"});
    }
  }
  EXPECT_GT(good, 50);
}

}  // namespace
}  // namespace ktstr
