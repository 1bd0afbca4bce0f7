#include "guest/init/core_catcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/small_files.h"
#include "guest/init/core_unwind.h"
#include "guest/init/own_class.h"

namespace ktstr::guest {
namespace {

constexpr char kSocket[] = "/run/ktstr-core.sock";
constexpr size_t kPage = 4096;
constexpr size_t kMaxText = 64 * 1024;

bool all_zero(const char* page, size_t size) {
  return page[0] == 0 && std::memcmp(page, page + 1, size - 1) == 0;
}

}  // namespace

Status CoreCatcher::arm() {
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return Error::from_errno("core socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kSocket, sizeof(kSocket));
  ::unlink(kSocket);
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_.get(), 8) != 0)
    return Error::from_errno(std::string("core socket ") + kSocket);
  if (auto set = write_text("/proc/sys/kernel/core_pattern", std::string("@") + kSocket); !set) return set;
  loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { on_connection(); });
  return {};
}

void CoreCatcher::on_connection() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd || connection_) return;  // one at a time: another's dump ends at once
  ucred peer{};
  socklen_t size = sizeof(peer);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  core_ = UniqueFd(::memfd_create("core", MFD_CLOEXEC));
  core_pid_ = peer.pid;
  offset_ = kept_ = 0;
  complete_ = false;
  connection_ = std::move(fd);
  loop_.watch(connection_.get(), EPOLLIN, [this](uint32_t) { on_bytes(); });
}

void CoreCatcher::on_bytes() {
  char buffer[64 * 1024];
  const ssize_t n = ::read(connection_.get(), buffer, sizeof(buffer));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0 && kept_ < kMaxKept) {
    for (size_t at = 0; at < static_cast<size_t>(n); at += kPage) {
      const size_t part = std::min(kPage, static_cast<size_t>(n) - at);
      if (all_zero(buffer + at, part)) continue;
      if (::pwrite(core_.get(), buffer + at, part, static_cast<off_t>(offset_ + at)) > 0) kept_ += part;
    }
    offset_ += static_cast<uint64_t>(n);
    return;
  }
  (void)!::ftruncate(core_.get(), static_cast<off_t>(offset_));  // zero pages at the end are part of it
  complete_ = n == 0;
  loop_.unwatch(connection_.get());
  connection_.reset();
}

std::vector<std::string> CoreCatcher::backtrace(pid_t pid, uint64_t limit_ns) {
  if (!listener_) return {};
  const uint64_t deadline = now_ns() + limit_ns;
  loop_.run_until([&] { return core_pid_ == pid && complete_; }, deadline);
  if (core_pid_ != pid || !complete_) return {};
  return unwind_in_child(limit_ns);
}

std::vector<std::string> CoreCatcher::unwind_in_child(uint64_t limit_ns) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return {};
  UniqueFd in(fds[0]), out(fds[1]);
  const pid_t child = fork_helper();
  if (child < 0) return {};
  if (child == 0) {
    std::string text;
    for (const std::string& frame : unwind_core(core_.get())) text += frame + "\n";
    (void)!::write(out.get(), text.data(), std::min(text.size(), kMaxText));
    ::_exit(0);
  }
  out.reset();
  std::string text;
  bool ended = false;
  loop_.watch(in.get(), EPOLLIN, [&](uint32_t) {
    char buffer[4096];
    const ssize_t n = ::read(in.get(), buffer, sizeof(buffer));
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
    if (n == 0) ended = true;
  });
  loop_.run_until([&] { return ended || text.size() > kMaxText; }, now_ns() + limit_ns);
  loop_.unwatch(in.get());
  ::kill(child, SIGKILL);  // hardly ever needed; init's reaper takes it
  std::vector<std::string> frames;
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    frames.push_back(text.substr(at, end - at));
  return frames;
}

}  // namespace ktstr::guest
