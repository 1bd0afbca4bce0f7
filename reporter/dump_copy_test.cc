#include "reporter/dump_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "reporter/testing/synthetic_run.h"

namespace ktstr::testing {
namespace {

using Lines = std::vector<std::string>;

std::vector<std::array<size_t, 3>> places(const std::vector<DumpCopy>& copies) {
  std::vector<std::array<size_t, 3>> out;
  for (const DumpCopy& copy : copies) out.push_back({copy.log, copy.dump, copy.lines});
  return out;
}

// What each copy claims: the same text on each line, each line of the log at most once, none crosses a gap.
void expect_true(const std::vector<DumpCopy>& copies, const Lines& log, const Lines& dump) {
  size_t next = 0;
  for (const DumpCopy& copy : copies) {
    ASSERT_GE(copy.log, next);
    next = copy.log + copy.lines;
    ASSERT_LE(next, log.size());
    ASSERT_LE(copy.dump + copy.lines, dump.size());
    for (size_t k = 0; k < copy.lines; ++k) {
      ASSERT_NE(dump[copy.dump + k], kNoLine);
      ASSERT_EQ(log[copy.log + k], dump[copy.dump + k]);
    }
  }
}

TEST(DumpCopy, AnyDamageOfACopyLeavesOnlyTrueClaims) {
  const Lines dump = sample("7.3-scx_demo.dump.txt");
  size_t found = 0, lines = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    Lines log, kernels = dump;
    for (size_t copies = 1 + below(3); copies > 0; --copies) {
      log.push_back("DEBUG DUMP");
      Lines copy = dump;
      for (size_t n = below(12); n > 0; --n) {
        const size_t at = below(copy.size());
        switch (below(4)) {
          case 0:
            copy[at] += "x";
            break;
          case 1:
            copy.insert(copy.begin() + static_cast<std::ptrdiff_t>(at), "statistics " + std::to_string(n));
            break;
          case 2:
            copy.erase(copy.begin() + static_cast<std::ptrdiff_t>(at));
            break;
          default:
            copy.resize(std::max<size_t>(at, 20));
        }
      }
      log.insert(log.end(), copy.begin(), copy.end());
    }
    if (below(2)) kernels[below(kernels.size())] = kNoLine;
    const auto copies = find_dump_copies(log, kernels);
    expect_true(copies, log, kernels);
    for (const DumpCopy& copy : copies) found += copy.lines;
    lines += log.size();
  }
  EXPECT_GT(found * 10, lines * 8) << "most of what is the same is found";
}

TEST(DumpCopy, TwoDumpsInOneLogAreFoundEachInItsOwn) {
  const Lines first = sample("scx_stall.dump.txt"), second = sample("7.3-scx_demo.dump.txt");
  Lines dump = first, log = {"start"};
  dump.insert(dump.end(), second.begin(), second.end());
  log.insert(log.end(), first.begin(), first.end());
  log.insert(log.end(), {"EXIT", "start again"});
  log.insert(log.end(), second.begin(), second.end());
  EXPECT_EQ((std::vector<std::array<size_t, 3>>{{1, 0, first.size()},
                                                {first.size() + 3, first.size(), second.size()}}),
            places(find_dump_copies(log, dump)));
}

TEST(DumpCopy, ADumpThatIsPrintedTwiceIsFoundTwiceWhateverEachOfThemLacks) {
  const Lines dump = sample("scx_stall.dump.txt");
  Lines log = dump;
  log[100] = "differs";
  log.insert(log.end(), dump.begin(), dump.end());
  log[dump.size() + 30] = "differs";
  EXPECT_EQ((std::vector<std::array<size_t, 3>>{{0, 0, 100},
                                                {101, 101, dump.size() - 101},
                                                {dump.size(), 0, 30},
                                                {dump.size() + 31, 31, dump.size() - 31}}),
            places(find_dump_copies(log, dump)));
}

// Worker tasks of one kind all sleep in the same place.
TEST(DumpCopy, ATaskThatTheDumpLostIsNotTakenForAnotherOneWithTheSameBacktrace) {
  const Lines whole = sample("7.3-scx_demo.dump.txt");
  const auto head_of = [&](const std::string& task) {
    return std::find_if(whole.begin(), whole.end(),
                        [&](const std::string& line) { return line.find("R " + task) != line.npos; });
  };
  const auto lost = head_of("sleep_1["), other = head_of("sleep_5["), last = head_of("kworker/3:1[");
  ASSERT_TRUE(lost < other && other < last && last != whole.end());
  const size_t at = static_cast<size_t>(lost - whole.begin()), count = static_cast<size_t>(other - lost);
  ASSERT_EQ(*(lost + 12), *(other + 12)) << "the same backtrace";
  Lines dump = whole;
  dump.erase(dump.begin() + (lost - whole.begin()), dump.begin() + (other - whole.begin()));
  EXPECT_EQ((std::vector<std::array<size_t, 3>>{{0, 0, at}, {at + count, at, dump.size() - at}}),
            places(find_dump_copies(whole, dump)));
  // The trace ends before it.
  dump.assign(whole.begin(), other);
  EXPECT_EQ((std::vector<std::array<size_t, 3>>{{0, 0, dump.size()}}), places(find_dump_copies(whole, dump)));
}

TEST(DumpCopy, ATextOfTheSameLinesOverAndOverEnds) {
  Lines dump, log;
  for (int i = 0; i < 10000; ++i)
    dump.push_back(i % 2500 == 0 ? "CPU 2   : nr_run=3 flags=0x1" : i % 3 ? "a" : "");
  for (int i = 0; i < 32768; ++i) log.push_back(i % 5 == 0 ? "[1] CPU 2   : nr_run=3 flags=0x1" : "[1] a");
  expect_true(find_dump_copies(dump, dump), dump, dump);
  EXPECT_LE(find_dump_copies(log, dump).size(), kMaxDumpCopies);
}

// Every line of the log matches many of the dump, each behind another prefix. What is not found within the budget stays printed.
TEST(DumpCopy, AHostileTextIsGivenUp) {
  std::vector<std::string> dump, log;
  for (size_t i = 1; i <= 128; ++i) dump.push_back(std::string(i, ':'));
  for (size_t i = 0; i < 32'768; ++i) {
    std::string line = "abcd" + std::string(124, ':');
    for (size_t k = 0, n = i; k < 4; ++k, n /= 26) line[k] = static_cast<char>('a' + n % 26);
    log.push_back(line);
  }
  EXPECT_LE(find_dump_copies(log, dump).size(), kMaxDumpCopies);
  // Blocks of four lines, without end.
  dump.clear();
  log.clear();
  for (size_t i = 0; i < 10'000; ++i)
    dump.push_back("CPU " + std::to_string(i % 2'500) + "   : nr_run=1 flags=0x1");
  for (size_t i = 0; i < 32'768; ++i)
    log.push_back(i % 5 == 4 ? "other" : dump[(i * 7 + i / 5) % dump.size()]);
  EXPECT_LE(find_dump_copies(log, dump).size(), kMaxDumpCopies);
}

}  // namespace
}  // namespace ktstr::testing
