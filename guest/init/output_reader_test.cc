#include "guest/init/output_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace ktstr::guest {
namespace {

class OutputReaderTest : public testing::Test {
 protected:
  // What came of these lines, through a reader that takes `rate` a second.
  std::vector<std::string> read(const std::string& text, uint64_t rate) {
    std::vector<std::string> out;
    EventLoop loop;
    OutputReader reader(loop, [&](std::string_view line, bool, uint64_t) { out.emplace_back(line); }, rate);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    reader.start(UniqueFd(ends[0]));
    EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    reader.drain(true);
    dropped_ = reader.dropped();
    return out;
  }

  uint64_t dropped_ = 0;
};

std::string numbered(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST_F(OutputReaderTest, OfAFloodTheFirstAndTheLastLinesCome) {
  const auto lines = read(numbered(1000) + "the objection", 10);
  ASSERT_GE(lines.size(), 50u);
  EXPECT_EQ(lines.front(), "line 0");
  EXPECT_EQ(lines.back(), "the objection");
  EXPECT_EQ(lines[lines.size() - 2], "line 999");
  EXPECT_EQ(dropped_ + lines.size(), 1001u) << "every line came or was counted";
  EXPECT_GT(dropped_, 0u);
}

TEST_F(OutputReaderTest, BelowTheRateNothingIsDropped) {
  EXPECT_EQ(read(numbered(100), 1000).size(), 100u);
  EXPECT_EQ(dropped_, 0u);
}

}  // namespace
}  // namespace ktstr::guest
