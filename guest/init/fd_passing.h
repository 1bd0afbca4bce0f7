// Messages with a file descriptor over a unix socket.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "base/unique_fd.h"

namespace ktstr::guest {

// fd -1: none. False with errno on failure. Async-signal-safe.
bool send_with_fd(int socket, std::string_view message, int fd);
// Bytes received, 0 at the end, -1 with errno. A passed fd (close-on-exec) goes to `fd`.
ssize_t receive_with_fd(int socket, void* message, size_t size, UniqueFd* fd);

}  // namespace ktstr::guest
