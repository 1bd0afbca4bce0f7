#include "base/line_buffers.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(TailBuffer, KeepsTheLastLinesInOrder) {
  TailBuffer tail(3);
  for (const char* line : {"a", "b", "c", "d", "e"}) tail.push(line);
  EXPECT_EQ((std::vector<std::string_view>{"c", "d", "e"}), tail.lines());
  EXPECT_EQ(5u, tail.total());
}

TEST(HeadTail, CountsWhatItLeavesOut) {
  HeadTail log({.head_lines = 2, .tail_lines = 2});
  for (const char* line : {"a", "b", "c", "d", "e"}) log.push(line);
  EXPECT_EQ((std::vector<std::string>{"a", "b"}), log.head());
  EXPECT_EQ((std::deque<std::string>{"d", "e"}), log.tail());
  EXPECT_EQ(1u, log.left_out());
}

TEST(HeadTail, IsBoundedInBytesToo) {
  HeadTail log({.head_lines = 1000, .tail_lines = 1000, .head_bytes = 100, .tail_bytes = 100});
  for (int i = 0; i < 1000; ++i) log.push(std::string(30, 'x'));
  EXPECT_EQ(3u, log.head().size());
  EXPECT_EQ(3u, log.tail().size());
  EXPECT_EQ(994u, log.left_out());
}

TEST(HeadTail, CutsHugeLines) {
  HeadTail log({.head_lines = 1, .tail_lines = 1});
  log.push(std::string(10 << 20, 'x'));
  EXPECT_EQ(kMaxKeptLineBytes, log.head().front().size());
}

}  // namespace
}  // namespace ktstr
