#include "monitor/gate_watch.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ktstr {

Result<std::unique_ptr<GateWatch>> GateWatch::open(const std::string& gate_path) {
  auto watch = std::make_unique<GateWatch>();
  for (auto [fd, name] : {std::pair{&watch->bell_, ".bell"}, std::pair{&watch->gate_, ".gate"}}) {
    const std::string path = gate_path + name;
    *fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!*fd) return Error::from_errno("open " + path);
  }
  return watch;
}

std::optional<GateWatch::Bell> GateWatch::take() {
  while (have_ < kBellMessage) {
    const ssize_t n = ::read(bell_.get(), message_ + have_, kBellMessage - have_);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    have_ += static_cast<size_t>(n);
  }
  have_ = 0;
  Bell bell{0,
            static_cast<Stage>(std::min<uint8_t>(message_[8], static_cast<uint8_t>(Stage::GuestFinished)))};
  for (unsigned i = 0; i < 8; ++i) bell.guest_ns |= static_cast<uint64_t>(message_[i]) << (8 * i);
  return bell;
}

void GateWatch::let_go() {
  int waiting = 0;
  if (::ioctl(gate_.get(), FIONREAD, &waiting) != 0 || waiting != 1) ++leaks_;
  char packet;
  while (::read(gate_.get(), &packet, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace ktstr
