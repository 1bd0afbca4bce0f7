#include "guest/init/check_reader.h"

#include <gtest/gtest.h>

namespace ktstr::guest {
namespace {

TEST(CheckReader, OneLineIsOneCheck) {
  CheckReportedT check = parse_check(
      R"({"name": "fair", "outcome": "fail", "observed": 3, "threshold": "2", "file": "x.cc", "line": 7})",
      false);
  EXPECT_EQ(check.name, "fair");
  EXPECT_EQ(check.outcome, Outcome::Fail);
  EXPECT_EQ(check.observed, "3");
  EXPECT_EQ(check.threshold, "2");
  EXPECT_EQ(check.line, 7u);
  EXPECT_EQ(parse_check(R"({"outcome": "pass"})", false).outcome, Outcome::Pass);
  // Nothing that cannot be read passes.
  for (const char* bad : {"", "x", "[]", "{}", "{\"outcome\": \"passed\"}", "{\"outcome\": 1}",
                          "{\"outcome\": \"pass\"", "{\"outcome\": \"pass\"} x", "\xff\xfe"}) {
    EXPECT_EQ(parse_check(bad, false).outcome, Outcome::Inconclusive) << bad;
    EXPECT_NE(parse_check(bad, false).detail, "") << bad;
  }
  EXPECT_EQ(parse_check(R"({"outcome": "pass"})", true).outcome, Outcome::Inconclusive);
  parse_check(std::string(16000, '['), false);  // depth does not matter
}

TEST(CheckReader, APhaseHasAName) {
  EXPECT_EQ(parse_body_phase(R"({"phase": "squeeze"})"), "squeeze");
  for (const char* no :
       {R"({"phase": ""})", R"({"phase": 3})", R"({"phase")", R"({"name": "x", "phase": "y"})"})
    EXPECT_FALSE(parse_body_phase(no)) << no;
}

}  // namespace
}  // namespace ktstr::guest
