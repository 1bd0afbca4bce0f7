// The hub: every event of a run passes here. PULL in, **append to the log, then** PUB out.
//
// Order and durability are one act: the sequence number is given at the append. Ingest is lossless (a full hub holds
// its producers back); PUB drops for a slow subscriber, which repairs the gap from the log (runtime/bus.h).
// While idle the hub publishes the newest sequence number every 20 ms, so that a subscriber that missed the last
// event notices.
//
// Thread rule: the hub lives on its own thread; start(), stop() and the accessors are for the owner's thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/bus.h"
#include "runtime/log_writer.h"
#include "runtime/result.h"

namespace zmq {
class context_t;
}

namespace ktstr {

class Hub {
 public:
  struct Options {
    BusAddress address;
    std::string log_path;
    std::string run_id;  // events of another run are refused
  };

  // Creates the log and binds both sockets before it returns.
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
  Hub(std::unique_ptr<zmq::socket_t> in, std::unique_ptr<zmq::socket_t> out, LogWriter log, std::string run_id);
  void serve();
  // One batch; returns the number of messages taken.
  size_t take_batch();
  void commit(std::vector<EventBuffer>& batch);

  std::unique_ptr<zmq::socket_t> in_, out_;
  LogWriter log_;
  std::string run_id_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> last_seq_{0}, refused_{0};
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::thread thread_;
};

}  // namespace ktstr
