#include "schemas/error_pin.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

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

}  // namespace
}  // namespace ktstr
