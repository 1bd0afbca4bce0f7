#include "scx/error_pin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace ktstr {
namespace {

using ::testing::HasSubstr;
using Cause = PinResult::Cause;

ErrorPin contains(std::string text) {
  auto pin = ErrorPin::compile({.contains = std::move(text), .matches = {}});
  EXPECT_TRUE(pin.ok()) << pin.error().to_string();
  return std::move(*pin);
}

ErrorPin matches(std::string pattern) {
  auto pin = ErrorPin::compile({.contains = {}, .matches = std::move(pattern)});
  EXPECT_TRUE(pin.ok()) << pin.error().to_string();
  return std::move(*pin);
}

constexpr std::string_view kCorpus =
    "scheduler started\n"
    "init[218] triggered exit kind 1025:\n"
    "  scx_bpf_error (apply_cell_config returned -EINVAL)\n"
    "\n"
    "Backtrace:\n"
    "  scx_bpf_error_bstr+0x66/0x80\n";

TEST(ErrorPinTest, ContainsIsAPlainSubstring) {
  EXPECT_TRUE(contains("apply_cell_config returned -EINVAL)").check(kCorpus).matched());
  EXPECT_FALSE(contains("apply_cell.config").check(kCorpus).matched());
  EXPECT_FALSE(contains("Apply_cell_config").check(kCorpus).matched());
}

TEST(ErrorPinTest, BothMatchersMustMatch) {
  auto pin = ErrorPin::compile({.contains = "apply_cell_config", .matches = "returned -E[A-Z]+"});
  ASSERT_TRUE(pin.ok());
  EXPECT_TRUE(pin->check(kCorpus).matched());
  PinResult only_contains = pin->check("apply_cell_config returned 0\n");
  EXPECT_FALSE(only_contains.contains_missed);
  EXPECT_TRUE(only_contains.matches_missed);
  PinResult only_matches = pin->check("frob returned -EBUSY\n");
  EXPECT_TRUE(only_matches.contains_missed);
  EXPECT_FALSE(only_matches.matches_missed);
}

TEST(ErrorPinTest, AnchorsAreTheEndsOfTheWholeCorpus) {
  EXPECT_TRUE(matches("^scheduler started").check(kCorpus).matched());
  EXPECT_FALSE(matches("^Backtrace").check(kCorpus).matched());
  EXPECT_TRUE(matches("0x80\n$").check(kCorpus).matched());
  EXPECT_FALSE(matches("0x80$").check(kCorpus).matched());  // the corpus ends in a newline, not before it
  EXPECT_FALSE(matches("started$").check(kCorpus).matched());
  EXPECT_TRUE(matches("(?m)^Backtrace:$").check(kCorpus).matched());
}

TEST(ErrorPinTest, DotStopsAtANewlineUnlessTold) {
  EXPECT_FALSE(matches("started.*Backtrace").check(kCorpus).matched());
  EXPECT_FALSE(matches("started.init").check(kCorpus).matched());
  EXPECT_TRUE(matches("(?s)started.*Backtrace").check(kCorpus).matched());
}

TEST(ErrorPinTest, InlineFlagsAndWhitespaceCountAsWritten) {
  EXPECT_TRUE(matches("(?i)SCX_BPF_ERROR").check(kCorpus).matched());
  EXPECT_FALSE(matches("SCX_BPF_ERROR").check(kCorpus).matched());
  EXPECT_TRUE(matches("\n  scx_bpf_error").check(kCorpus).matched());
  EXPECT_FALSE(matches("\n scx_bpf_error").check(kCorpus).matched());
  EXPECT_FALSE(matches(" scheduler started").check(kCorpus).matched());
  EXPECT_FALSE(contains("scheduler started ").check(kCorpus).matched());
  EXPECT_TRUE(matches("(?ms)^init.*^Backtrace:$").check(kCorpus).matched());
}

TEST(ErrorPinTest, ACorpusThatIsNotUtf8DoesNoHarm) {
  std::string corpus = "noise \xff\xfe\n" + std::string(kCorpus) + "\x80 caf\xc3\xa9 done";
  EXPECT_TRUE(matches("returned -E[A-Z]+").check(corpus).matched());
  EXPECT_TRUE(matches("caf. done").check(corpus).matched());    // one character, two bytes
  EXPECT_FALSE(matches("noise ..\n").check(corpus).matched());  // no '.' matches a stray byte
  EXPECT_TRUE(contains("\xff\xfe").check(corpus).matched());
  EXPECT_TRUE(matches("(?s)noise.+returned").check("noise\n\nreturned").matched());
}

std::string refusal(const std::string& pattern) {
  auto pin = ErrorPin::compile({.contains = {}, .matches = pattern});
  if (pin.ok()) return "(accepted)";
  EXPECT_EQ(pin.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(pin.error().hint().empty()) << pattern;
  return pin.error().message();
}

TEST(ErrorPinTest, PatternsThatCanMatchNothingAreRefused) {
  for (const char* pattern :
       {"a?",       "a*",     ".*",     "(?:)",        "^$",        "^",       "$",      "\\b",
        "\\B",      "\\A",    "\\z",    "(?m)^",       "(?m)$",     "(?m)^$",  "(?s).*", "\\b\\b",
        "\\ba*\\b", "a|",     "a|\\b",  "(|b)",        "(a*)+",     "x{0}",    "x{0,3}", "^(foo)?$",
        "(?i)",     "[a-z]*", "\\Q\\E", "\\bfoo\\b|$", "(?:^|\\b)", "\\b|foo", "()"})
    EXPECT_THAT(refusal(pattern), HasSubstr("can match without consuming a character")) << pattern;
}

TEST(ErrorPinTest, PatternsThatMatchAnyTextAreRefused) {
  for (const char* pattern :
       {".", ".+", "\\w", "[a-z]+", "(?m)^.+$", "\\S", "[^\n]", "\\b.", "(?s).{1}", "[^0-9]"})
    EXPECT_THAT(refusal(pattern), HasSubstr("matches any text that has a letter in it")) << pattern;
}

TEST(ErrorPinTest, UsefulPatternsAreAccepted) {
  for (const char* pattern :
       {"apply_cell_config returned -E[A-Z]+", "^scheduler", "\\bstall\\b", "(?m)^Backtrace:$", "a",
        "\\d+ tasks", "x+", "(?s)a.*b", "\\^", "\\Q$^\\E", "[$]", "[[:digit:]]{3}", "caf\xc3\xa9", "\n",
        "foo|bar", "(?i)enospc$", "\\x{24}"})
    EXPECT_EQ(refusal(pattern), "(accepted)") << pattern;
}

TEST(ErrorPinTest, RefusalsSayWhatAndWhy) {
  EXPECT_EQ(refusal(""), "expect_scx_bpf_error_matches = \"\": an empty pattern matches every text");
  EXPECT_EQ(refusal("(abc"),
            "expect_scx_bpf_error_matches = \"(abc\": not a valid RE2 expression: missing ): (abc");
  EXPECT_THAT(refusal("a(?=b)"), HasSubstr("not a valid RE2 expression: invalid perl operator: (?="));
  EXPECT_THAT(refusal("(a)\\1"), HasSubstr("not a valid RE2 expression: invalid escape sequence: \\1"));
  EXPECT_THAT(refusal("*a"), HasSubstr("not a valid RE2 expression: no argument for repetition operator: *"));
  EXPECT_THAT(refusal("[b-a]"), HasSubstr("not a valid RE2 expression: invalid character class range: b-a"));
  EXPECT_THAT(refusal("a{1001}"), HasSubstr("not a valid RE2 expression: invalid repetition size"));
  EXPECT_THAT(refusal("a\xff"), HasSubstr("not a valid RE2 expression: invalid UTF-8"));
  EXPECT_THAT(refusal("((a{100}){100}){100}"), HasSubstr("not a valid RE2 expression"));
  EXPECT_THAT(refusal(std::string(5000, 'a')), HasSubstr("longer than 4096 bytes"));
  auto empty = ErrorPin::compile({.contains = "", .matches = {}});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().message(),
            "expect_scx_bpf_error_contains = \"\": an empty text is part of every text");
  EXPECT_FALSE(ErrorPin::compile({}).ok());
}

TEST(ErrorPinTest, AMissWithAnErrorInTheCorpusIsDrift) {
  ErrorPin pin = contains("apply_cell_config failed: -EINVAL");
  PinResult result = pin.check(kCorpus);
  EXPECT_EQ(result.cause, Cause::kDrifted);
  EXPECT_TRUE(result.contains_missed);
  EXPECT_EQ(result.nearest_line, 3u);
  EXPECT_EQ(result.nearest, "  scx_bpf_error (apply_cell_config returned -EINVAL)");
  EXPECT_EQ(pin.explain(result),
            "expect_scx_bpf_error_contains = \"apply_cell_config failed: -EINVAL\": not in the corpus\n"
            "looks like: error text drifted (the scheduler failed, with another text); if it is the same "
            "bug, adapt the "
            "pin\n"
            "nearest text: line 3: \"  scx_bpf_error (apply_cell_config returned -EINVAL)\"");
}

TEST(ErrorPinTest, TheNearestTextOfAnExpressionComesFromItsWords) {
  PinResult result = matches("apply_cell_cfg returned -E[A-Z]+ for cell \\d+").check(kCorpus);
  EXPECT_EQ(result.cause, Cause::kDrifted);
  EXPECT_EQ(result.nearest_line, 3u);
  EXPECT_EQ(matches("[0-9]{7}").check(kCorpus).nearest_line, 0u);
  EXPECT_EQ(contains("nothing like this here, qqq").check(kCorpus).nearest_line, 0u);
}

TEST(ErrorPinTest, AMissWithoutAnyErrorLooksFixed) {
  ErrorPin pin = matches("returned -E[A-Z]+");
  PinResult result = pin.check("scheduler started\nEXIT: unregistered from user space\n");
  EXPECT_EQ(result.cause, Cause::kFixed);
  EXPECT_THAT(pin.explain(result), HasSubstr("looks like: bug is fixed"));
  EXPECT_EQ(pin.check("").cause, Cause::kFixed);
  // The caller's knowledge goes before the guess.
  EXPECT_EQ(pin.check("quiet", true).cause, Cause::kDrifted);
  EXPECT_EQ(pin.check(kCorpus.substr(0, 60), false).cause, Cause::kFixed);
  EXPECT_EQ(pin.explain(pin.check(kCorpus)), "");
}

TEST(ErrorPinTest, ALargeCorpusIsSearchedInLinearTime) {
  std::string corpus;
  while (corpus.size() < (32u << 20))
    corpus += "cpu 3: curr aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab nr_running 1 flags 0x1\n";
  // Exponential, or quadratic, for a backtracking matcher.
  ErrorPin pin = matches("(a+)+c(a|aa)+$");
  auto begin = std::chrono::steady_clock::now();
  PinResult result = pin.check(corpus);
  auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_FALSE(result.matched());
  EXPECT_LT(std::chrono::duration<double>(took).count(), 20.0);
}

}  // namespace
}  // namespace ktstr
