// How a ktstr process lives: command line, signals, sockets, poll loop, readiness, shutdown. A process supplies a
// Role; run_process() does the rest. Used by collector, monitor, reproer and reporter, and by any C++ collector.
//
// Common options: --bus FOLDER --log FILE --run-id ID [--ready-fd N] [--start-ns N]. SIGINT is ignored (the launcher
// decides), SIGTERM stops the loop in order. SIGHUP comes when the launcher dies: the process stops as well,
// and removes the bus folder, so that a killed launcher leaves nothing behind.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/confine.h"
#include "runtime/options.h"
#include "schemas/envelope.h"

namespace ktstr {

// What a running Role can do. Single-threaded: every callback runs on the loop's thread.
class Context {
 public:
  virtual ~Context() = default;

  // Publishes a fact under the role's source name. Stamps host_ns. Blocks under back-pressure.
  template <typename T>
  void publish(T payload, Vm vm = Vm::Host, uint8_t attempt = 0, uint64_t guest_ns = 0) {
    EventHead head = this->head();
    head.vm = vm;
    head.attempt = attempt;
    head.guest_ns = guest_ns;
    publish_event(make_event(head, std::move(payload)));
  }
  // Publishes a finished event as it is (the collector passes the guest's on). A dead hub stops the process.
  virtual void publish_event(EventBuffer event) = 0;
  // run_id, source and host_ns (now) filled in.
  virtual EventHead head() const = 0;

  // Calls back when fd is readable or hung up, until unwatched. The fd stays the caller's.
  virtual void watch(int fd, std::function<void()> readable) = 0;
  virtual void unwatch(int fd) = 0;
  // Calls back every `period` until the returned id is cancelled.
  virtual int every(std::chrono::nanoseconds period, std::function<void()> tick) = 0;
  virtual void cancel(int timer) = 0;

  // Ends the loop after this callback; run_process returns the code.
  virtual void stop(int exit_code) = 0;

  virtual const std::string& bus_folder() const = 0;  // also where a role's own sockets are
  virtual const std::string& log_path() const = 0;
  virtual const Clock& clock() const = 0;
};

class Role {
 public:
  virtual ~Role() = default;
  // "collector": the source name of its events; the program is ktstr-NAME.
  virtual std::string_view name() const = 0;
  // The role's own command-line options.
  virtual void add_options(OptionSet&) {}
  // A way of life apart from the bus (`ktstr-reporter LOG`): called after parsing; a value ends the process with it.
  virtual std::optional<int> run_standalone() { return std::nullopt; }
  // Called before the process reports readiness. An error ends the process (exit 1, message on stderr).
  virtual Status on_start(Context&) { return {}; }
  // Every event of the run from seq 1, in order, none missing. By default the loop ends after RunFinished.
  virtual void on_event(const EventBuffer& event, Context&) = 0;
  // What the process keeps of its rights, for its whole life (runtime/confine.h); empty: all. Called before anything is read.
  // Both paths are empty in a process without a run.
  virtual std::optional<Confinement> confinement(const std::string& /*bus_folder*/,
                                                 const std::string& /*log_path*/) const {
    return std::nullopt;
  }
  // SIGTERM, or the launcher is gone.
  virtual void on_stop(Context&) {}
};

int run_process(int argc, char** argv, Role& role);

}  // namespace ktstr
