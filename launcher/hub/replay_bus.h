// A recorded run on a live bus: the same endpoints, frames, order and gap repair as a hub's, the events unmodified.
//
// PULL is read and forgotten: nothing can be added to what was recorded. Plays on the caller's thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "launcher/hub/repair_server.h"
#include "runtime/bus.h"
#include "schemas/log_reader.h"

namespace ktstr {

class ReplayBus {
 public:
  struct Options {
    BusAddress address;
    std::string log_path;
    double speed = 1;          // times the recorded speed; 0: as fast as subscribers can be told
    unsigned subscribers = 0;  // wait for so many before the first event
    double linger_s = 5;       // keep the bus open for so long after the last event, for who is still reading
    int stop_fd = -1;          // readable: end now
  };
  struct Played {
    uint64_t events = 0;
    uint64_t forgotten = 0;      // messages that clients sent
    uint64_t skipped_steps = 0;  // between stamps that are too far apart to be waited for
    bool stopped = false;        // by stop_fd
    std::string damage;          // of the log: what follows was not played
  };

  // Binds before it returns.
  static Result<std::unique_ptr<ReplayBus>> open(zmq::context_t& context, const Options& options);
  ~ReplayBus();
  Result<Played> play(const Clock& clock);

 private:
  ReplayBus(const Options& options, LogReader log) : options_(options), log_(std::move(log)) {}
  // Serves the sockets until `deadline_ns` of the clock; true to go on, false when asked to stop.
  bool serve_until(uint64_t deadline_ns, const Clock& clock);
  void announce();
  uint64_t step_to(uint64_t stamp, uint64_t& recorded);

  Options options_;
  LogReader log_;
  std::unique_ptr<zmq::socket_t> in_, out_;
  std::atomic<uint64_t> newest_{0};
  unsigned subscribed_ = 0;
  Played played_;
  std::unique_ptr<RepairServer> repair_;
};

}  // namespace ktstr
