#include "scx/regex_scan.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>
#include <vector>

namespace ktstr {
namespace {

bool can_match_nothing(const std::string& pattern) {
  RE2 bare(without_assertions(pattern), RE2::Quiet);
  EXPECT_TRUE(bare.ok()) << pattern << " -> " << bare.pattern() << ": " << bare.error();
  return RE2::FullMatch("", bare);
}

TEST(RegexScanTest, AssertionsAreTakenOutAndNothingElse) {
  EXPECT_EQ(without_assertions(R"(^a$)"), R"((?:)a(?:))");
  EXPECT_EQ(without_assertions(R"(\Aa\b\B\z)"), R"((?:)a(?:)(?:)(?:))");
  for (std::string_view untouched :
       {R"(\^\$\\b)", R"([$^])", R"([^$])", R"([]$])", R"([^]^$])", R"([[:alpha:]$^])", R"([\]$])",
        R"(\Q^$\b\E)", R"(\Q^$)", R"((?P<b>x))", R"((?i)x)", R"((?i:x))", R"(\x{24}\x24\p{Greek}\pL)",
        R"(a{2,3})", R"([\\$])", R"([[:$])"})
    EXPECT_EQ(without_assertions(untouched), untouched);
  EXPECT_EQ(without_assertions(R"(\\^)"), R"(\\(?:))");
  EXPECT_EQ(without_assertions(R"(\Qa\E^)"), R"(\Qa\E(?:))");
  EXPECT_EQ(without_assertions(R"([[:alpha:]]^)"), R"([[:alpha:]](?:))");
}

TEST(RegexScanTest, LiteralWordsAreKept) {
  EXPECT_EQ(literal_text(R"(apply_cell_config returned -E[A-Z]+)"), "apply_cell_config returned -E");
  EXPECT_EQ(literal_text(R"((?m)^cpu \d+ \(offline\)$)"), "cpu  (offline)");
  EXPECT_EQ(literal_text(R"(\Qa.b\E.*(?:c|d))"), "a.b c d");
  EXPECT_EQ(literal_text(R"(.*)"), "");
}

// The oracle: every position of every text of up to four characters is tried for an empty match.
class Oracle {
 public:
  Oracle() {
    texts_.push_back("");
    for (size_t from = 0, length = 1; length <= 4; ++length) {
      size_t end = texts_.size();
      for (; from < end; ++from)
        for (char c : {'a', 'b', ' ', '\n'}) texts_.push_back(texts_[from] + c);
    }
  }
  bool matches_nothing_somewhere(const RE2& regex) const {
    for (const std::string& text : texts_)
      for (size_t at = 0; at <= text.size(); ++at)
        if (regex.Match(text, at, at, RE2::ANCHOR_BOTH, nullptr, 0)) return true;
    return false;
  }

 private:
  std::vector<std::string> texts_;
};

TEST(RegexScanTest, TheOracleSeesContext) {
  Oracle oracle;
  for (const char* empty : {"\\b", "\\B", "^", "$", "(?m)^", "(?m)$", "\\ba*\\b", "(?m)^$", "a|\\b"})
    EXPECT_TRUE(oracle.matches_nothing_somewhere(RE2(empty))) << empty;
  for (const char* never : {"a", "\\ba", "^a", "\\b\\B", "a$"})
    EXPECT_FALSE(oracle.matches_nothing_somewhere(RE2(never))) << never;
}

TEST(RegexScanTest, AgreesWithTheOracleOnRandomExpressions) {
  Oracle oracle;
  std::mt19937 random(7);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> kPieces = {
      "a",   "b",   "^",   "$",    "\\b",   "\\B",     "\\A",  "\\z",  "(",           ")",
      "|",   "*",   "+",   "?",    "*?",    ".",       "[a^]", "[^$]", "[]a]",        "(?m)",
      "\\^", "{2}", "(?:", "(?s)", "{0,1}", "\\Q^\\E", "\\n",  "(?i:", "[[:space:]$]"};
  int valid = 0, empty = 0, contradictions = 0;
  for (int i = 0; i < 30000; ++i) {
    std::string pattern;
    for (size_t n = 1 + below(7); n > 0; --n) pattern += kPieces[below(kPieces.size())];
    RE2 regex(pattern, RE2::Quiet);
    if (!regex.ok()) continue;
    ++valid;
    bool told = can_match_nothing(pattern);
    bool seen = oracle.matches_nothing_somewhere(regex);
    if (seen) {
      ++empty;
      ASSERT_TRUE(told) << pattern << " matches nothing somewhere, but would be let through";
    } else if (told) {
      ++contradictions;  // needs `\b\B` and the like: never matches at all
      RE2::Options options(RE2::Quiet);
      std::string bare = without_assertions(pattern);
      ASSERT_NE(bare, pattern) << "without assertions there is no contradiction: " << pattern;
    }
  }
  EXPECT_GT(valid, 5000);
  EXPECT_GT(empty, 1000);
  EXPECT_LT(contradictions, valid / 10);
}

}  // namespace
}  // namespace ktstr
