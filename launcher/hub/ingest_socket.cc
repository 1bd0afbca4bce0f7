#include "launcher/hub/ingest_socket.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace ktstr {
namespace {

constexpr size_t kMaxPeers = 1024;
constexpr std::string_view kScheme = "ipc://";

}  // namespace

struct IngestSocket::Peer : Sender {
  Peer(UniqueFd socket, int id_, const ZmtpReceiver::Limits& limits)
      : fd(std::move(socket)), id(id_), zmtp(limits) {}
  int connection() const override { return id; }
  std::string description() const override { return pid > 0 ? "process " + std::to_string(pid) : ""; }

  UniqueFd fd;
  int id;
  pid_t pid = 0;
  ZmtpReceiver zmtp;
};

Result<std::unique_ptr<IngestSocket>> IngestSocket::bind(const std::string& endpoint) {
  std::unique_ptr<IngestSocket> socket(new IngestSocket());
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
      ::listen(socket->listener_.get(), 128) != 0)
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
  bool taken = false;
  while (true) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return taken;
    taken = true;
    if (peers_.size() >= kMaxPeers) continue;
    ucred credentials{};
    socklen_t size = sizeof credentials;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size);
    int id = ++last_id_;
    auto peer = std::make_unique<Peer>(std::move(fd), id, ZmtpReceiver::Limits{.message = kMaxEventBytes});
    peer->pid = credentials.pid;
    if (!watch(peer->fd.get(), EPOLLIN, static_cast<uint64_t>(id))) continue;
    Peer& kept = *(peers_[id] = std::move(peer));
    events.opened(id);
    if (!flush(kept)) close(kept, events);
  }
}

// A few bytes of handshake into an empty socket buffer: a peer that does not even take those is none.
bool IngestSocket::flush(Peer& peer) {
  std::string& out = peer.zmtp.outgoing();
  if (out.empty()) return true;
  ssize_t n = ::send(peer.fd.get(), out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  bool sent = n == static_cast<ssize_t>(out.size());
  out.clear();
  return sent;
}

void IngestSocket::serve(Peer& peer, const Events& events) {
  auto room = peer.zmtp.room();
  ssize_t n = ::recv(peer.fd.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) return close(peer, events);
  bool good = peer.zmtp.received(static_cast<size_t>(n), [&](std::span<const uint8_t> bytes, size_t frames) {
    events.message(bytes, frames, peer);
  });
  if (!good) events.broken(peer.zmtp.error(), peer);
  // The answers to pings are worth nothing to a peer that is gone, its messages are: no end here.
  (void)flush(peer);
  if (!good) close(peer, events);
}

void IngestSocket::close(Peer& peer, const Events& events) {
  int id = peer.id;
  peers_.erase(id);  // closing the descriptor takes it out of epoll
  events.closed(id);
}

bool IngestSocket::receive(const Events& events) {
  epoll_event ready[64];
  int n = ::epoll_wait(epoll_.get(), ready, std::size(ready), 0);
  bool busy = false;
  for (int i = 0; i < n; ++i) {
    if (ready[i].data.u64 == 0) {
      // Out of descriptors, the listener stays ready: that is no work done, and the hub has others to serve.
      busy |= accept_all(events);
      continue;
    }
    busy = true;
    auto it = peers_.find(static_cast<int>(ready[i].data.u64));
    if (it != peers_.end()) serve(*it->second, events);
  }
  return busy;
}

}  // namespace ktstr
