#include "launcher/hub/ingest_socket.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "base/small_files.h"

namespace ktstr {
namespace {

constexpr std::string_view kScheme = "ipc://";
constexpr size_t kRead = 256u << 10;
constexpr int kBacklog = 128;

UniqueFd open_reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

struct IngestSocket::Peer : Sender {
  Peer(UniqueFd socket, int id_, const ZmtpReceiver::Limits& limits)
      : fd(std::move(socket)), id(id_), zmtp(limits) {}
  int connection() const override { return id; }
  std::string description() const override { return pid > 0 ? "process " + std::to_string(pid) : ""; }
  bool own() const override { return ours; }

  UniqueFd fd;
  int id;
  pid_t pid = 0;
  bool ours = false;
  bool spoke = false;      // a whole message came
  bool backed_up = false;  // it has not taken all of our answer: told when it does
  uint64_t last_read = 0;  // IngestSocket::turn_
  ZmtpReceiver zmtp;
};

bool IngestSocket::launched_here(pid_t pid) {
  const pid_t me = ::getpid();
  if (pid <= 0 || pid == me) return pid == me;
  // "PID (NAME) STATE PPID ...": NAME may hold anything, so from its end.
  const std::string stat = read_text_or("/proc/" + std::to_string(pid) + "/stat", "");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= stat.size()) return false;
  return std::atoi(stat.c_str() + name_end + 4) == me;
}

IngestSocket::IngestSocket() : reserve_(open_reserve()), scratch_(kRead) {}

Result<std::unique_ptr<IngestSocket>> IngestSocket::bind(const std::string& endpoint, bool (*ours)(pid_t)) {
  std::unique_ptr<IngestSocket> socket(new IngestSocket());
  socket->ours_ = ours;
  if (!endpoint.starts_with(kScheme)) return Error::invalid(endpoint + ": not ipc://PATH");
  socket->path_ = endpoint.substr(kScheme.size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket->path_.size() >= sizeof address.sun_path)
    return Error::invalid(socket->path_ + ": too long for a socket");
  std::memcpy(address.sun_path, socket->path_.data(), socket->path_.size());
  socket->listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  socket->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!socket->listener_ || !socket->epoll_) return Error::from_errno("make a socket");
  ::unlink(socket->path_.c_str());
  if (::bind(socket->listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket->listener_.get(), kBacklog) != 0)
    return Error::from_errno(socket->path_);
  if (auto s = socket->watch(socket->listener_.get(), EPOLLIN, 0); !s) return std::move(s).error();
  return socket;
}

IngestSocket::~IngestSocket() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Status IngestSocket::watch(int fd, uint32_t events, uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return Error::from_errno("epoll");
  return {};
}

bool IngestSocket::accept_all(const Events& events) {
  // No more than may wait: those who are connected have their turn in between.
  for (int i = 0; i < kBacklog; ++i) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      take(std::move(fd), events);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return i > 0;
    if (turn_away(events)) continue;
    // The listener stays readable: it rests until the hub comes by again, within a heartbeat.
    resting_ = true;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
    return i > 0;
  }
  return true;
}

void IngestSocket::take(UniqueFd fd, const Events& events) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size);
  const int id = ++last_id_;
  auto peer = std::make_unique<Peer>(std::move(fd), id, ZmtpReceiver::Limits{.message = kMaxEventBytes});
  peer->pid = credentials.pid;
  peer->ours = ours_(credentials.pid);
  peer->last_read = ++turn_;
  if (peers_.size() >= kMaxPeers && !peer->ours && !make_place(events))
    return events.broken("is not taken: " + std::to_string(kMaxPeers) + " clients are connected", *peer);
  if (!watch(peer->fd.get(), EPOLLIN, static_cast<uint64_t>(id)))
    return events.broken("is not taken: the host is out of memory or descriptors", *peer);
  Peer& kept = *(peers_[id] = std::move(peer));
  events.opened(id);
  flush(kept);
}

bool IngestSocket::turn_away(const Events& events) {
  reserve_.reset();
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const bool taken = static_cast<bool>(fd);
  if (taken) {
    const Peer peer(std::move(fd), 0, ZmtpReceiver::Limits{});
    events.broken("is not taken: the launcher has no descriptor left", peer);
  }
  reserve_ = open_reserve();
  return taken;
}

bool IngestSocket::make_place(const Events& events) {
  Peer* silent = nullptr;
  for (auto& [id, peer] : peers_)
    if (!peer->ours && !peer->spoke && (!silent || peer->last_read < silent->last_read)) silent = peer.get();
  if (!silent) return false;
  events.broken("has sent no message and is closed: its place is needed", *silent);
  close(*silent, events);
  return true;
}

void IngestSocket::bound_held(const Events& events) {
  while (held_ > kMaxHeld) {
    Peer* oldest = nullptr;
    for (auto& [id, peer] : peers_)
      if (!peer->ours && peer->zmtp.held() > kRead && (!oldest || peer->last_read < oldest->last_read))
        oldest = peer.get();
    if (!oldest) return;
    events.broken(
        "is closed within a message: such messages hold more than " + std::to_string(kMaxHeld >> 20) + " MiB",
        *oldest);
    close(*oldest, events);
  }
}

// A few bytes of handshake or an answer to a ping (ZmtpReceiver bounds them). What the peer or the host does not take now is
// sent later: a producer waits for the handshake. A peer that has closed its side may have sent messages all the same: they
// are read to their end.
void IngestSocket::flush(Peer& peer) {
  std::string& out = peer.zmtp.outgoing();
  while (!out.empty()) {
    const ssize_t n = ::send(peer.fd.get(), out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      out.erase(0, static_cast<size_t>(n));
    } else if (errno != EINTR) {
      if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) out.clear();
      break;
    }
  }
  if (peer.backed_up == !out.empty()) return;
  peer.backed_up = !out.empty();
  epoll_event event{};
  event.events = EPOLLIN | (peer.backed_up ? EPOLLOUT : 0u);
  event.data.u64 = static_cast<uint64_t>(peer.id);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, peer.fd.get(), &event);
}

void IngestSocket::serve(Peer& peer, const Events& events) {
  const size_t held = peer.zmtp.held();
  auto room = peer.zmtp.room(scratch_);
  ssize_t n = ::recv(peer.fd.get(), room.data(), room.size(), MSG_DONTWAIT);
  const bool nothing_yet = n < 0 && (errno == EINTR || errno == EAGAIN);
  peer.last_read = ++turn_;
  bool good = peer.zmtp.received(n > 0 ? static_cast<size_t>(n) : 0,
                                 [&](std::span<const uint8_t> bytes, size_t frames) {
                                   peer.spoke = true;
                                   events.message(bytes, frames, peer);
                                 });
  if (!peer.ours) held_ += peer.zmtp.held() - held;
  if (!good) events.broken(peer.zmtp.error(), peer);
  flush(peer);
  if (!good || (n <= 0 && !nothing_yet)) return close(peer, events);
  bound_held(events);
}

void IngestSocket::close(Peer& peer, const Events& events) {
  int id = peer.id;
  if (!peer.ours) held_ -= peer.zmtp.held();
  peers_.erase(id);  // closing the descriptor takes it out of epoll
  events.closed(id);
}

bool IngestSocket::receive(const Events& events) {
  if (resting_) resting_ = !watch(listener_.get(), EPOLLIN, 0);
  epoll_event ready[64];
  int n = ::epoll_wait(epoll_.get(), ready, std::size(ready), 0);
  bool busy = false;
  for (int i = 0; i < n; ++i) {
    if (ready[i].data.u64 == 0) {
      // A connection that could not be taken is no work done, and the hub has others to serve.
      busy |= accept_all(events);
      continue;
    }
    busy = true;
    auto it = peers_.find(static_cast<int>(ready[i].data.u64));
    if (it == peers_.end()) continue;
    if (ready[i].events & EPOLLOUT) flush(*it->second);
    if (ready[i].events & ~static_cast<uint32_t>(EPOLLOUT)) serve(*it->second, events);
  }
  return busy;
}

}  // namespace ktstr
