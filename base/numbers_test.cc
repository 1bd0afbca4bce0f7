#include "base/numbers.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(ParseNumber, AllOfTheTextOrNothing) {
  EXPECT_EQ(parse_number("42"), 42u);
  EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"", " 42", "42 ", "4x", "+4", "-4", "0x4", "18446744073709551616"})
    EXPECT_FALSE(parse_number(text)) << text;
}

TEST(ParseNumber, Bases) {
  EXPECT_EQ(parse_number("ff", 16), 255u);
  EXPECT_EQ(parse_number("0xff", 16), 255u);
  EXPECT_EQ(parse_number("0Xff", 0), 255u);
  EXPECT_EQ(parse_number("10", 0), 10u);
  EXPECT_FALSE(parse_number("ff", 0));
  EXPECT_FALSE(parse_number("0x", 0));
  EXPECT_FALSE(parse_number("0x-5", 0));
}

TEST(ParseNumber, TheTypeSetsTheRange) {
  EXPECT_EQ(parse_number<int>("-7"), -7);
  EXPECT_EQ(parse_number<int64_t>("-0x10", 0), -16);
  EXPECT_EQ(parse_number<int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_FALSE(parse_number<int64_t>("9223372036854775808"));
  EXPECT_FALSE(parse_number<int64_t>("-9223372036854775809"));
  EXPECT_FALSE(parse_number<int>("2147483648"));
  EXPECT_FALSE(parse_number<uint32_t>("4294967296"));
  EXPECT_FALSE(parse_number<int>("--7"));
}

}  // namespace
}  // namespace ktstr
