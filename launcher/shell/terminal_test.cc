#include "launcher/shell/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "launcher/shell/user_output.h"

namespace ktstr {
namespace {

class TerminalTest : public testing::Test {
 protected:
  TerminalTest() {
    int master = -1, slave = -1;
    winsize size{};
    size.ws_row = 12;
    size.ws_col = 34;
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
    master_ = UniqueFd(master);
    slave_ = UniqueFd(slave);
  }
  bool raw() const {
    termios now{};
    ::tcgetattr(slave_.get(), &now);
    return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }
  UniqueFd master_, slave_;
};

TEST_F(TerminalTest, IsRawUntilItsGuardIsGone) {
  EXPECT_FALSE(raw());
  {
    auto terminal = RawTerminal::enter(slave_.get());
    ASSERT_TRUE(terminal);
    EXPECT_TRUE(raw());
    terminal->leave();
    EXPECT_FALSE(raw());
    terminal->reenter();
    const RawTerminal moved(std::move(*terminal));
    EXPECT_TRUE(raw());
  }
  EXPECT_FALSE(raw());
}

TEST_F(TerminalTest, HasItsSizeAndWhatIsNoTerminalHasNone) {
  EXPECT_EQ(terminal_size(slave_.get()), (TerminalSize{.rows = 12, .cols = 34}));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UniqueFd out(ends[0]), in(ends[1]);
  EXPECT_EQ(terminal_size(out.get()), TerminalSize{});
  EXPECT_FALSE(RawTerminal::enter(out.get()));
}

TEST(EscapeWatch, ThreeInASecondAndNothingBetween) {
  EscapeWatch watch;
  const char key = EscapeWatch::kKey;
  EXPECT_FALSE(watch.look(key, 0));
  EXPECT_FALSE(watch.look(key, 1));
  EXPECT_TRUE(watch.look(key, 2));
  EscapeWatch other;
  for (uint64_t at = 0; at < 20 * kSecond; at += 2 * kSecond) EXPECT_FALSE(other.look(key, at)) << "too slow";
  EscapeWatch broken;
  EXPECT_FALSE(broken.look(key, 0));
  EXPECT_FALSE(broken.look(key, 1));
  EXPECT_FALSE(broken.look('x', 2));
  EXPECT_FALSE(broken.look(key, 3));
}

TEST(UserOutput, APipeThatNobodyReadsHoldsNobodyUp) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  UserOutput output(writer.get());
  const std::vector<uint8_t> much(1'000'000, 'x');
  output.add(much);
  ASSERT_TRUE(output.pump());
  EXPECT_GT(output.pending(), 0u);
  EXPECT_LT(output.pending(), much.size());
  EXPECT_EQ(::fcntl(writer.get(), F_GETFL) & O_NONBLOCK, 0) << "other processes share these flags";
  size_t read = 0;
  for (char chunk[65536]; read < much.size();) {
    const ssize_t n = ::read(reader.get(), chunk, sizeof chunk);
    ASSERT_GT(n, 0);
    read += static_cast<size_t>(n);
    ASSERT_TRUE(output.pump());
  }
  EXPECT_EQ(output.pending(), 0u);
  reader.reset();
  ::signal(SIGPIPE, SIG_IGN);
  output.add(much);
  EXPECT_TRUE(output.pump());
  EXPECT_TRUE(output.closed());
  EXPECT_EQ(output.pending(), 0u);
}

TEST(UserOutput, AFullDiskIsAnError) {
  UniqueFd full(::open("/dev/full", O_WRONLY));
  ASSERT_TRUE(full);
  UserOutput output(full.get());
  output.add(std::vector<uint8_t>(10, 'x'));
  EXPECT_FALSE(output.pump());
}

}  // namespace
}  // namespace ktstr
