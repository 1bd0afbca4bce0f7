#include "launcher/deterministic/carriers.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ktstr {
namespace {

constexpr int kOnePage = 4096;  // a packet pipe of one page holds one packet

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Error::invalid("socket path over 107 bytes: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno("connect to " + path);
  return fd;
}

Result<UniqueFd> open_fd(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd) return Error::from_errno("open " + path);
  return fd;
}

// Both ends, so that neither QEMU nor the monitor waits for the other at its open(2).
Result<UniqueFd> make_fifo(const std::string& path) {
  ::unlink(path.c_str());
  if (::mkfifo(path.c_str(), 0600) != 0) return Error::from_errno("make " + path);
  return open_fd(path, O_RDWR);
}

}  // namespace

std::string why_deterministic(std::pair<int, int> qemu) {
  std::string reason = "a deterministic run needs it";
  if (qemu != std::pair(7, 2))
    reason +=
        "; with QEMU 7.2 it is proved that a VM takes the same course again, with this one it may take "
        "another now and then";
  return reason;
}

Result<std::unique_ptr<DeterministicCarriers>> DeterministicCarriers::create(const std::string& folder,
                                                                             const std::string& name,
                                                                             uint8_t attempt) {
  std::unique_ptr<DeterministicCarriers> c(new DeterministicCarriers());
  const std::string suffix = name + "." + std::to_string(attempt);
  const char* kinds[] = {"/console.", "/channel."};
  for (int i = 0; i < 2; ++i) {
    c->pipes_[i].file = folder + kinds[i] + suffix + ".out";
    ::unlink(c->pipes_[i].file.c_str());
    auto in = open_fd(c->pipes_[i].file, O_RDONLY | O_CREAT | O_EXCL);
    if (!in) return std::move(in).error();
    c->pipes_[i].in = std::move(in).value();
  }
  c->gate_path_ = folder + "/guest." + suffix;
  c->turns_file_ = folder + "/turns." + suffix;
  if (auto turns = open_fd(c->turns_file_, O_WRONLY | O_CREAT | O_TRUNC); !turns)
    return std::move(turns).error();
  auto bell = make_fifo(c->bell_path());
  if (!bell) return std::move(bell).error();
  c->bell_keeper_ = std::move(bell).value();
  const std::string gate = c->gate_path_ + ".gate";
  auto keeper = make_fifo(gate);
  if (!keeper) return std::move(keeper).error();
  c->gate_keeper_ = std::move(keeper).value();
  auto out = open_fd(gate, O_WRONLY);
  if (!out) return std::move(out).error();
  c->gate_out_ = std::move(out).value();
  // Packet mode, which open(2) does not give a FIFO: each write takes a slot of its own.
  if (::fcntl(c->gate_out_.get(), F_SETFL, O_DIRECT) != 0) return Error::from_errno("packet mode of " + gate);
  if (::fcntl(c->gate_out_.get(), F_SETPIPE_SZ, kOnePage) != kOnePage)
    return Error::from_errno("shrink " + gate + " to one packet");
  if (::write(c->gate_out_.get(), "", 1) != 1) return Error::from_errno("close " + gate);
  return c;
}

DeterministicCarriers::~DeterministicCarriers() {
  for (const Pipe& pipe : pipes_) ::unlink(pipe.file.c_str());
  ::unlink(turns_file_.c_str());
  ::unlink(bell_path().c_str());
  ::unlink((gate_path_ + ".gate").c_str());
}

Status DeterministicCarriers::connect(const std::string& console_socket, const std::string& channel_socket) {
  const std::string* paths[] = {&console_socket, &channel_socket};
  for (int i = 0; i < 2; ++i) {
    auto fd = connect_to(*paths[i]);
    if (!fd) return std::move(fd).error();
    pipes_[i].out = std::move(fd).value();
  }
  return {};
}

void DeterministicCarriers::pump() {
  // QEMU takes the flag away when it opens its log file. Guests come to the gate seconds after their first output.
  if (!qemu_opened_) ::fcntl(gate_out_.get(), F_SETFL, O_DIRECT);
  qemu_opened_ = pipes_[0].passed > 0;
  for (Pipe& pipe : pipes_) pump(pipe);
}

void DeterministicCarriers::pump(Pipe& pipe) {
  char bytes[64 * 1024];
  while (pipe.out) {
    // The collector's acknowledgement: a UART's guest does not wait for one.
    while (::recv(pipe.out.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    const ssize_t n = ::pread(pipe.in.get(), bytes, sizeof bytes, static_cast<off_t>(pipe.passed));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (ended_) pipe.out.reset();
      return;
    }
    const ssize_t sent = ::send(pipe.out.get(), bytes, static_cast<size_t>(n), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return pipe.out.reset();  // the collector is gone: the launcher sees that itself
    pipe.passed += static_cast<uint64_t>(sent);
  }
}

// Without a reader, writes fail, and QEMU goes on.
void DeterministicCarriers::abandon_gate() {
  bell_keeper_.reset();
  gate_keeper_.reset();
  gate_out_.reset();
}

}  // namespace ktstr
