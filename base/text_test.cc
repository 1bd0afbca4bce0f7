#include "base/text.h"

#include <gtest/gtest.h>

#include "base/cpu_list.h"

namespace ktstr {
namespace {

TEST(Printable, StripsWhatATerminalWouldActUpon) {
  EXPECT_EQ(printable("\x1b[31mred\x1b[0m"), "red");
  EXPECT_EQ(printable("\x1b]0;title\aafter"), "after");
  EXPECT_EQ(printable("\x1b]0;title\x1b\\after"), "after");
  EXPECT_EQ(printable("\x1b]8;;never ends"), "");
  EXPECT_EQ(printable("a\rb\bc\x7f"), "abc");
  EXPECT_EQ(printable("tab\tstays"), "tab\tstays");
  EXPECT_EQ(printable("\x1b"), "");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "??31m")
      << "C1 CSI";
}

TEST(Printable, ReplacesWhatChangesTheOrderOrTheLinesOfText) {
  for (std::string_view one : {"\u202e", "\u202a", "\u2066", "\u2069", "\u200f", "\u061c", "\u2028", "\u2029",
                               "\ufeff", "\ufff9", "\U000e0041"})
    EXPECT_EQ(printable("a" + std::string(one) + "b"), "a" + std::string(one.size(), '?') + "b") << one;
  EXPECT_EQ(printable("\u2027\u202f\u2065\u206a"), "\u2027\u202f\u2065\u206a") << "their neighbours stay";
}

TEST(Printable, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(printable("größer → ok"), "größer → ok");
  EXPECT_EQ(printable("\xff\xfe"), "??");
  EXPECT_EQ(printable("\xc0\xaf"), "??") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "???") << "surrogate";
  EXPECT_EQ(printable("\xe2\x86"), "??") << "cut short";
}

TEST(HumanNs, PicksTheUnit) {
  EXPECT_EQ(human_ns(80), "80 ns");
  EXPECT_EQ(human_ns(1'500'000'000), "1.500 s");
  EXPECT_EQ(human_ns(12'300'000), "12.3 ms");
}

TEST(CpuList, FoldsRanges) {
  EXPECT_EQ(cpu_list({3, 1, 2, 1, 7}), "1-3,7");
  EXPECT_EQ(cpu_list({}), "");
  EXPECT_EQ(parse_cpu_mask("f"), (std::vector<unsigned>{0, 1, 2, 3}));
  EXPECT_EQ(cpu_list(parse_cpu_mask("1,00000000,80000001")), "0,31,64");
  EXPECT_TRUE(parse_cpu_mask("(n/a)").empty());
}

}  // namespace
}  // namespace ktstr
