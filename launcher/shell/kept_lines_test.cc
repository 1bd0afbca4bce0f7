#include "launcher/shell/kept_lines.h"

#include <gtest/gtest.h>

#include <string>

namespace ktstr {
namespace {

constexpr std::string_view kPanic = "[    3.797701] Kernel panic - not syncing: sysrq triggered crash";

TEST(KeptLines, AWordOfTroubleStaysHoweverLongTheTraceIsThatFollows) {
  KeptLines lines;
  EXPECT_EQ(lines.shown(), "");
  lines.add("[    0.000000] Linux version 7.3");
  lines.add(kPanic);
  for (size_t i = 0; i < 3 * KeptLines::kShown; ++i) lines.add("[    3.8] ? frame " + std::to_string(i));
  const std::string shown = lines.shown();
  EXPECT_EQ(shown.find("\n  " + std::string(kPanic) + "\n  …\n  [    3.8] ? frame 80\n"), 0u) << shown;
  EXPECT_NE(shown.find("frame 119"), std::string::npos);
  EXPECT_EQ(shown.find("Linux version"), std::string::npos);
}

TEST(KeptLines, AWordAmongTheLastLinesIsShownOnceInItsPlace) {
  KeptLines lines;
  lines.add("before");
  lines.add(kPanic);
  lines.add("after");
  EXPECT_EQ(lines.shown(), "\n  before\n  " + std::string(kPanic) + "\n  after");
}

TEST(KeptLines, AFloodOfTroubleKeepsTheFirstOnes) {
  KeptLines lines;
  for (int i = 0; i < 1000; ++i)
    lines.add("[    1.000000] Kernel panic - not syncing: number " + std::to_string(i));
  const std::string shown = lines.shown();
  EXPECT_NE(shown.find("number 0\n"), std::string::npos);
  EXPECT_NE(shown.find("number 7\n  …\n"), std::string::npos);
  EXPECT_EQ(shown.find("number 8\n"), std::string::npos);
  EXPECT_NE(shown.find("number 999"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
