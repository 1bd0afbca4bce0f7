#include "base/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ktstr {

void secure_standard_fds() {
  // In rising order, open(2) gives the lowest free number: the one that is missing.
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) ::_exit(3);
}

Status close_stdout() {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  const int flushed = errno;
  if (std::fclose(stdout) == 0 && !failed) return {};
  const int error = flushed != 0 ? flushed : errno;
  if (error == 0) return Error::system("write to stdout: an earlier write failed");
  return Error::from_errno("write to stdout", error);
}

}  // namespace ktstr
