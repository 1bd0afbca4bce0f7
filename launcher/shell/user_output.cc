#include "launcher/shell/user_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace ktstr {
namespace {

constexpr size_t kSmallWrite = 256;  // what a terminal that polls as writable takes without waiting

}  // namespace

UserOutput::UserOutput(int fd) : fd_(fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return;
  file_ = S_ISREG(st.st_mode);  // never waits, and has a position that a second opening would not have
  socket_ = S_ISSOCK(st.st_mode);
  if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) return;
  own_ = UniqueFd(
      ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

int64_t UserOutput::write_some(std::span<const uint8_t> bytes) {
  if (own_) return ::write(own_.get(), bytes.data(), bytes.size());
  if (socket_) return ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (file_) return ::write(fd_, bytes.data(), bytes.size());
  // A terminal of another user, which cannot be opened again.
  pollfd ready{fd_, POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 0) return errno = EAGAIN, -1;
  return ::write(fd_, bytes.data(), std::min(bytes.size(), kSmallWrite));
}

Status UserOutput::pump() {
  size_t done = 0;
  Status status;
  while (done < pending_.size() && !closed_) {
    const int64_t n = write_some(std::span(pending_).subspan(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      closed_ = true;
      if (errno != EPIPE)
        status = Error::from_errno(fd_ == STDERR_FILENO ? "write to stderr" : "write to stdout");
      break;
    }
    done += static_cast<size_t>(n);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done));
  if (closed_) pending_.clear();
  return status;
}

}  // namespace ktstr
