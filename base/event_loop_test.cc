#include "base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

namespace ktstr {
namespace {

TEST(EventLoop, ATickMayCancelItselfAndStartAnother) {
  EventLoop loop;
  int first = 0, second = 0, id = 0;
  id = loop.every(kMs, [&] {
    ++first;
    loop.cancel(id);
    loop.every(kMs, [&] { ++second; });
  });
  EXPECT_TRUE(loop.run_until([&] { return second == 3; }, now_ns() + 60 * kSecond));
  EXPECT_EQ(first, 1);
}

TEST(EventLoop, WatchesTheNewDescriptorOfAReusedNumber) {
  EventLoop loop;
  int fd = ::eventfd(0, EFD_CLOEXEC);
  loop.watch(fd, EPOLLIN, [](uint32_t) { FAIL() << "the old descriptor is closed"; });
  ::close(fd);  // without unwatch: the kernel has forgotten it, the loop has not
  int again = ::eventfd(1, EFD_CLOEXEC);
  ASSERT_EQ(again, fd);
  bool seen = false;
  loop.watch(again, EPOLLIN, [&](uint32_t) { seen = true; });
  EXPECT_TRUE(loop.run_until([&] { return seen; }, now_ns() + 60 * kSecond));
  ::close(again);
}

TEST(EventLoop, WhoAsksForAnotherTurnStillLetsDescriptorsIn) {
  EventLoop loop;
  int fd = ::eventfd(1, EFD_CLOEXEC), turns = 0;
  bool seen = false;
  loop.watch(fd, EPOLLIN, [&](uint32_t) { seen = true; });
  loop.after_turn([&] {
    ++turns;
    loop.again();
  });
  const uint64_t start = now_ns();
  EXPECT_TRUE(loop.run_until([&] { return seen && turns >= 1000; }, start + 60 * kSecond));
  ::close(fd);
}

}  // namespace
}  // namespace ktstr
