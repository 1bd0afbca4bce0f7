// A pipe for a child's output: the reading end does not block, and holds much while init is busy.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr::guest {

struct OutputPipe {
  UniqueFd read, write;
};

inline Result<OutputPipe> make_output_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  ::fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
  return OutputPipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace ktstr::guest
