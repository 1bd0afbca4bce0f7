#include "base/standard_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace ktstr {
namespace {

// Exit code of a child with these of 0, 1, 2 closed: the number of its next descriptor.
int next_after_closing(unsigned closed) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (int fd = 0; fd <= 2; ++fd)
      if (closed & 1u << fd) ::close(fd);
    for (int fd = 3; fd < 64; ++fd) ::close(fd);
    secure_standard_fds();
    for (int fd = 0; fd <= 2; ++fd)
      if (::fcntl(fd, F_GETFD) != 0) ::_exit(99);  // gone, or lost at exec
    ::_exit(::socket(AF_UNIX, SOCK_STREAM, 0));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StandardFds, NoSocketTakesTheNumberOfAClosedOne) {
  for (unsigned closed = 0; closed < 8; ++closed) EXPECT_EQ(next_after_closing(closed), 3) << closed;
}

// Exit code of a child whose stdout is /dev/full: 0 when close_stdout() saw no error.
int close_of_a_full_disk(bool earlier) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int full = ::open("/dev/full", O_WRONLY);
    ::dup2(full, 1);
    std::printf("a line\n");
    if (earlier) std::fflush(stdout);
    ::_exit(close_stdout() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StandardFds, AFullDiskIsSeenAtTheCloseAndWhenItWasMetEarlier) {
  EXPECT_EQ(close_of_a_full_disk(false), 1);
  EXPECT_EQ(close_of_a_full_disk(true), 1);
}

}  // namespace
}  // namespace ktstr
