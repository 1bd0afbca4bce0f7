#include "reporter/cycle_collapser.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <random>

#include "reporter/line_log.h"

namespace ktstr {
namespace {

std::vector<std::string> collapse(const std::vector<std::string>& lines,
                                  CycleCollapser::Options options = {}) {
  CycleCollapser collapser(options);
  std::vector<std::string> out;
  for (const std::string& line : lines) collapser.push(line, out);
  collapser.finish(out);
  return out;
}

// The way back: count lines written out again. The obvious oracle for "nothing was lost or invented".
std::vector<std::string> expand(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    size_t period = 1, repeats = 0;
    if (std::sscanf(line.c_str(), "… (last line repeated %zu more", &repeats) != 1 &&
        std::sscanf(line.c_str(), "… (last %zu lines repeated %zu more", &period, &repeats) != 2) {
      out.push_back(line);
      continue;
    }
    EXPECT_GE(out.size(), period);
    std::vector<std::string> block(out.end() - static_cast<std::ptrdiff_t>(period), out.end());
    for (; repeats > 0; --repeats) out.insert(out.end(), block.begin(), block.end());
  }
  return out;
}

TEST(CycleCollapser, LeavesTextWithoutRepeatsAlone) {
  std::vector<std::string> lines = {"a", "b", "a", "c", "b", "", "d"};
  EXPECT_EQ(lines, collapse(lines));
}

TEST(CycleCollapser, FoldsOneRepeatedLine) {
  EXPECT_EQ((std::vector<std::string>{"x", "a", "… (last line repeated 4 more times)", "y"}),
            collapse({"x", "a", "a", "a", "a", "a", "y"}));
}

TEST(CycleCollapser, LeavesFewRepeatsAsTheyAre) {
  std::vector<std::string> lines = {"x", "a", "a", "a", "y", "b", "c", "b", "c", "z"};
  EXPECT_EQ(lines, collapse(lines));
}

TEST(CycleCollapser, FoldsBlocksAndKeepsTheBrokenLastRepeat) {
  std::vector<std::string> lines = {"head"};
  for (int i = 0; i < 5; ++i) lines.insert(lines.end(), {"a", "b", "c"});
  lines.insert(lines.end(), {"a", "b", "end"});
  EXPECT_EQ((std::vector<std::string>{"head", "a", "b", "c", "… (last 3 lines repeated 4 more times)", "a",
                                      "b", "end"}),
            collapse(lines));
}

TEST(CycleCollapser, FoldsVerifierLoopsThoughTheirStatesDiffer) {
  std::vector<std::string> lines;
  for (int i = 0; i < 40; ++i) {
    lines.push_back("; for (i = 0; i < 100; i++) @ x.bpf.c:9");
    lines.push_back("12: (07) r1 += 1                      ; R1=" + std::to_string(i));
    lines.push_back("13: (a5) if r1 < 0x64 goto pc-2       ; R1=" + std::to_string(i));
    lines.push_back("12: R1=" + std::to_string(i) + " R10=fp0");
  }
  auto out = collapse(lines);
  ASSERT_EQ(5u, out.size());
  EXPECT_EQ("… (last 4 lines repeated 39 more times)", out[4]);
}

TEST(CycleCollapser, RandomTextsComeBackWhole) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> lines;
    while (lines.size() < 300) {
      // Blocks of a small alphabet, repeated: cycles within cycles, broken anywhere.
      std::vector<std::string> block(1 + random() % 12);
      for (std::string& line : block) line = std::string(1, static_cast<char>('a' + random() % 3));
      for (unsigned n = 1 + random() % 6; n > 0; --n) lines.insert(lines.end(), block.begin(), block.end());
      lines.resize(lines.size() - random() % block.size());
    }
    auto out = collapse(lines, {.max_period = 16});
    ASSERT_EQ(lines, expand(out)) << "round " << round;
    ASSERT_LE(out.size(), lines.size());
  }
}

TEST(LineLog, FoldsCyclesOfCycles) {
  LineLog log({.head_lines = 100, .tail_lines = 100});
  for (int i = 0; i < 50; ++i) {
    log.push("begin");
    for (int k = 0; k < 20; ++k) log.push("tick");
    log.push("end");
  }
  log.finish();
  EXPECT_EQ((std::vector<std::string>{"begin", "tick", "… (last line repeated 19 more times)", "end",
                                      "… (last 4 lines repeated 49 more times)"}),
            log.kept().head());
  EXPECT_EQ(1100u, log.total());
}

TEST(LineLog, MillionLinesInLinearTimeAndFlatMemory) {
  auto timed = [](int lines) {
    LineLog log({.head_lines = 10, .tail_lines = 10});
    const std::clock_t start = std::clock();  // CPU time: a busy machine does not count
    for (int i = 0; i < lines; ++i)
      log.push("line " + std::to_string(i % 200));  // longer than any period looked for
    log.finish();
    EXPECT_EQ(10u, log.kept().head().size());
    EXPECT_EQ(10u, log.kept().tail().size());
    return static_cast<double>(std::clock() - start);
  };
  double small = timed(50'000), large = timed(500'000);
  EXPECT_LT(large, small * 40) << "ten times the lines";
}

}  // namespace
}  // namespace ktstr
