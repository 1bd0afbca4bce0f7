// The hub: every event of a run passes here. PUSH sockets in, **append to the log, then** PUB out.
//
// The hub gives an event its sequence number when it appends it to the log. Ingest is lossless (a full hub blocks its
// producers); PUB drops for a slow subscriber, which repairs the gap from the log (runtime/bus.h).
// While idle the hub publishes the newest sequence number every 20 ms, so that a subscriber that missed the last
// event notices. Large events, and floods of them, are announced by that number alone: subscribers read the log,
// and neither a stopped subscriber nor three busy ones cost the hub memory or time.
//
// The hub reports what it rejects: ClientRefused (launcher/hub/client_gate.h).
//
// Thread rule: the hub lives on its own thread; start(), stop() and the accessors are for the owner's thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "launcher/hub/client_gate.h"
#include "launcher/hub/connection_watch.h"
#include "launcher/hub/ingest_socket.h"
#include "launcher/hub/key_guard.h"
#include "launcher/hub/repair_server.h"
#include "runtime/bus.h"
#include "schemas/log_writer.h"

namespace zmq {
class context_t;
}

namespace ktstr {

// A second set of endpoints, over TCP, for clients with keys.
struct BusListen {
  BusAddress address;  // BusAddress::remote
  ServerKeys keys;
};

class Hub {
 public:
  struct Options {
    BusAddress address;
    std::string log_path;
    std::string run_id;     // events of another run are refused
    uint64_t start_ns = 0;  // CLOCK_MONOTONIC at the run's start: the zero of host_ns
    std::optional<BusListen> listen;
  };

  // Creates the log and binds all sockets before it returns.
  static Result<std::unique_ptr<Hub>> start(zmq::context_t& context, const Options& options);
  // Takes in what has arrived, then ends the thread. Events published after stop() was called may be lost.
  ~Hub();
  void stop();

  uint64_t last_seq() const { return last_seq_.load(); }
  // Messages refused: damaged buffers, another run's events.
  uint64_t refused() const { return refused_.load(); }
  // Set once the log took no more (disk full): nothing is recorded or published from then on.
  std::string failure() const;

 private:
  // A PULL socket for remote clients, and who is connected to it.
  struct Intake {
    std::unique_ptr<zmq::socket_t> socket;
    ConnectionWatch connections;
    ConnectionWatch listeners;  // of the PUB socket beside it
  };
  struct Sockets {
    std::unique_ptr<IngestSocket> ingest;
    std::optional<Intake> remote;
    std::vector<std::unique_ptr<zmq::socket_t>> outs, repairs;
    std::string binding;  // the endpoint in hand, for the error
    void bind(zmq::context_t& context, const BusAddress& address, const KeyGuard* guard);
  };

  Hub(Sockets sockets, LogWriter log, const Options& options);
  void serve();
  // What there is, up to a batch. False: nothing was there.
  bool take_local();
  bool take_remote();
  bool await_remote_leave();
  void take(std::span<const uint8_t> message, size_t frames, const Sender& sender);
  void tell_refusals(uint64_t now_ns);
  // Into the log, then to the subscribers; empties the batch.
  void commit(std::vector<EventBuffer>& batch);
  void announce();
  void send(const void* data, size_t size);
  void fail(std::string why);
  uint64_t elapsed_ns() const { return clock_.monotonic_ns() - start_ns_; }

  std::unique_ptr<KeyGuard> guard_;  // outlives the sockets
  std::unique_ptr<IngestSocket> ingest_;
  std::optional<Intake> remote_;
  std::vector<std::unique_ptr<zmq::socket_t>> outs_;
  LogWriter log_;
  std::string run_id_;
  uint64_t start_ns_;
  SystemClock clock_;
  ClientGate gate_;
  IngestSocket::Events events_;
  std::vector<EventBuffer> batch_;
  size_t batch_bytes_ = 0;
  unsigned remote_listeners_ = 0;
  uint64_t leave_by_ns_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> last_seq_{0}, refused_{0};
  std::atomic<bool> failed_{false};
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::thread thread_;
  std::unique_ptr<RepairServer> repair_;
};

}  // namespace ktstr
