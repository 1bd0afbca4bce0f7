// The hub's local ingest: a unix socket that PUSH sockets of any ZeroMQ connect to.
//
// It replaces libzmq's PULL socket. When a peer closes while libzmq blocks it, libzmq discards what the peer had sent
// and the kernel still held, so a producer that sends a flood and ends would lose its last events. This socket reads
// everything up to the peer's end. It also bounds what waits in bytes (the kernel's socket buffer) instead of messages,
// and it knows the sending process: the kernel's word for who connected (SO_PEERCRED) tells whether it is one of ours.
//
// Bounded, whoever connects: kMaxPeers connections, of which those that never sent a message make room first; kMaxHeld bytes of
// frames that are not whole, for all strangers together. Who is closed or not taken for such a reason is told (`broken`).
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

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

  static constexpr size_t kMaxPeers = 256;
  static constexpr size_t kMaxHeld = 64u << 20;

  // Whether a process that has just connected is the launcher or its child. A pid that is used again while its former holder's
  // connection waits would deceive it: that takes all pids of the host within a few milliseconds.
  static bool launched_here(pid_t pid);

  // `endpoint`: "ipc://PATH". `ours` is injected for tests. Errors: a path that is too long, or taken.
  static Result<std::unique_ptr<IngestSocket>> bind(const std::string& endpoint,
                                                    bool (*ours)(pid_t) = launched_here);
  ~IngestSocket();

  // Readable when receive() has something to do.
  int fd() const { return epoll_.get(); }
  // Takes connections, and one read from each that has something. False: nothing was there.
  bool receive(const Events& events);

 private:
  struct Peer;
  IngestSocket();
  bool accept_all(const Events& events);  // false: nobody could be taken
  void take(UniqueFd fd, const Events& events);
  // Out of descriptors: the one in reserve takes the connection, to close it. False: not even that.
  bool turn_away(const Events& events);
  // A place for one more. False: everybody who is connected has sent something.
  bool make_place(const Events& events);
  // Until strangers hold no more than they may.
  void bound_held(const Events& events);
  void flush(Peer& peer);
  void serve(Peer& peer, const Events& events);
  void close(Peer& peer, const Events& events);
  Status watch(int fd, uint32_t events, uint64_t id);

  std::string path_;
  bool (*ours_)(pid_t) = nullptr;
  UniqueFd listener_, epoll_, reserve_;
  std::vector<uint8_t> scratch_;
  size_t held_ = 0;       // bytes of strangers' frames that are not whole
  uint64_t turn_ = 0;     // counts reads: orders peers by their last one
  bool resting_ = false;  // the listener is not watched until the next receive()
  std::map<int, std::unique_ptr<Peer>> peers_;
  int last_id_ = 1 << 24;  // far from the descriptors that number remote connections
};

}  // namespace ktstr
