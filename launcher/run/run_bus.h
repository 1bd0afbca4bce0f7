// The launcher's own place on the bus of one run: hub, publisher and subscriber in one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "base/clock.h"
#include "launcher/hub/hub.h"
#include "runtime/bus.h"
#include "schemas/common_generated.h"

namespace ktstr {

class RunBus {
 public:
  struct Options {
    std::string folder, log_path, run_id;
    std::optional<BusListen> listen;
    uint64_t past_ns = 0;  // the run began so long ago: its first facts were recorded then
  };
  static Result<std::unique_ptr<RunBus>> open(const Options& options, const Clock& clock);

  template <typename T>
  void publish(T payload, Vm vm = Vm::Host, uint8_t attempt = 0) {
    EventHead head{.run_id = run_id_,
                   .source = "launcher",
                   .vm = vm,
                   .attempt = attempt,
                   .host_ns = clock_.monotonic_ns() - start_ns_};
    publish_event(make_event(head, std::move(payload)));
  }
  // As it is; of this run.
  void publish_event(const EventBuffer& event) {
    // The hub is in this process: a publish only fails when the hub has, which failure() tells.
    if (auto s = publisher_->publish(event); !s) lost_ = s.error().message();
  }
  int fd() const { return subscriber_->fd(); }
  Result<std::optional<EventBuffer>> receive() { return subscriber_->receive(); }
  // Why nothing more is recorded; empty while all is well.
  std::string failure() const { return hub_->failure().empty() ? lost_ : hub_->failure(); }
  uint64_t start_ns() const { return start_ns_; }
  uint64_t elapsed_ns() const { return clock_.monotonic_ns() - start_ns_; }

 private:
  RunBus(std::string run_id, const Clock& clock, uint64_t past_ns)
      : run_id_(std::move(run_id)), clock_(clock), start_ns_(clock.monotonic_ns() - past_ns) {}

  std::string run_id_;
  const Clock& clock_;
  uint64_t start_ns_;
  zmq::context_t zmq_;
  std::unique_ptr<Hub> hub_;
  std::optional<Publisher> publisher_;
  std::optional<Subscriber> subscriber_;
  std::string lost_;
};

}  // namespace ktstr
