// The hub's local ingest: a unix socket that PUSH sockets of any ZeroMQ connect to.
//
// It replaces libzmq's PULL socket. When a peer closes while libzmq blocks it, libzmq discards what the peer had sent
// and the kernel still held, so a producer that sends a flood and ends would lose its last events. This socket reads
// everything up to the peer's end. It also bounds what waits in bytes (the kernel's socket buffer) instead of messages,
// and it knows the sending process.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "launcher/hub/client_gate.h"
#include "launcher/hub/zmtp.h"

namespace ktstr {

class IngestSocket {
 public:
  struct Events {
    // A whole message; `frames` other than 1: no event, and no bytes.
    std::function<void(std::span<const uint8_t> bytes, size_t frames, const Sender& sender)> message;
    std::function<void(int connection)> opened, closed;
    // The peer broke the protocol; it is closed after this.
    std::function<void(const std::string& what, const Sender& sender)> broken;
  };

  // `endpoint`: "ipc://PATH". Errors: a path that is too long, or taken.
  static Result<std::unique_ptr<IngestSocket>> bind(const std::string& endpoint);
  ~IngestSocket();

  // Readable when receive() has something to do.
  int fd() const { return epoll_.get(); }
  // Takes connections, and one read from each that has something. False: nothing was there.
  bool receive(const Events& events);

 private:
  struct Peer;
  IngestSocket() = default;
  bool accept_all(const Events& events);  // false: nobody could be taken
  bool flush(Peer& peer);
  void serve(Peer& peer, const Events& events);
  void close(Peer& peer, const Events& events);
  Status watch(int fd, uint32_t events, uint64_t id);

  std::string path_;
  UniqueFd listener_, epoll_;
  std::map<int, std::unique_ptr<Peer>> peers_;
  int last_id_ = 1 << 24;  // far from the descriptors that number remote connections
};

}  // namespace ktstr
