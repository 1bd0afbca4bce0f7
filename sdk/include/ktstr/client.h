// A client of a live ktstr run: receives every event, in order, none missing; publishes lines and facts of its own.
//
//   auto run = ktstr::find_run();
//   auto client = ktstr::Client::connect(*run, {.name = "mytool"});
//   client->line("hello");
//   while (auto event = client->next(std::chrono::seconds(1))) {
//     if (!*event) { if (!client->run_alive()) break; continue; }
//     if (auto* crash = (*event)->as<ktstr::CrashDetected>()) ...
//   }
//
// docs/protocol.md describes the wire protocol. One thread at a time may use a Client. Nothing throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ktstr/event_generated.h"
#include "ktstr/result.h"

namespace ktstr {

struct RunInfo {
  std::string run_id;     // "20261121-210145-3f2a/enqueue_crash"
  std::string bus;        // folder with the run's sockets
  std::string log;        // events.ktlog
  int pid = 0;            // ktstr-launch
  uint64_t start_ns = 0;  // CLOCK_MONOTONIC of the host at the run's start: the zero of Stamp.host_ns
  bool replay = false;    // a recorded run on a bus: what is stated there is forgotten
  std::string endpoint = {}, key_file = {};  // of a run on another machine; `bus` and `log` are empty then
};

struct FindOptions {
  std::string ktstr_launch = {};          // empty: $KTSTR_LAUNCH, else "ktstr-launch" in PATH
  std::chrono::milliseconds patience{0};  // how long to wait for a run to start
};

// Live runs of this user, oldest first.
Result<std::vector<RunInfo>> live_runs(const FindOptions& options = {});
// The run whose id is or holds `wanted`, the newest of several; "latest": any. kNotFound when there is none.
Result<RunInfo> find_run(const std::string& wanted = "latest", const FindOptions& options = {});

// A run on another machine (`ktstr-launch run --listen tcp://HOST:PORT`), with the client's key file that
// `ktstr-launch keygen` made there. Errors: kInvalid, a bad endpoint or key; kTimeout, no run answers (none
// is live, or the key is not one of its).
Result<RunInfo> remote_run(const std::string& endpoint, const std::string& key_file);

// One event, owned and verified.
class StreamEvent {
 public:
  explicit StreamEvent(std::vector<uint8_t> verified) : bytes_(std::move(verified)) {}
  const Event& get() const { return *flatbuffers::GetRoot<Event>(bytes_.data()); }
  const Event* operator->() const { return &get(); }
  uint64_t seq() const { return get().stamp()->seq(); }
  Payload type() const { return get().payload_type(); }
  std::string_view source() const { return get().source()->string_view(); }
  // The payload as table T, or null when it is another one.
  template <typename T>
  const T* as() const {
    return get().payload_as<T>();
  }
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

struct ClientOptions {
  std::string name =
      {};  // our source name: 1 to 64 bytes, none of ktstr's own. Empty: a listener that never publishes
  uint64_t from_seq = 1;    // the first event to hand out
  bool await_join = false;  // connect() returns once the hub has taken us in, or with its refusal
};

class Client {
 public:
  // Joins under the name. A rejection (name taken or reserved, schema version) is reported by next(), and by
  // connect() if it waits.
  static Result<Client> connect(const RunInfo& run, const ClientOptions& options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // The next event; empty when none came within `wait`. Errors: kInvalid, the hub refuses what we send (its
  // words); kSystem, the bus or the log is broken.
  Result<std::optional<StreamEvent>> next(std::chrono::milliseconds wait = std::chrono::milliseconds(0));
  // For poll(2): readable when next() may have news. Edge-triggered: call next() until it is empty after each
  // wake-up.
  int fd() const;

  // A line under our name, in the log, the report and the timeline; more than 4096 bytes are cut.
  Status line(std::string_view text);
  // Any fact that a client may state: publish(ktstr::CollectorLineT{...}). Blocks while the hub holds us
  // back, fails once the run is over.
  template <typename T>
  Status publish(T fact, uint64_t guest_ns = 0) {
    PayloadUnion payload;
    payload.Set(std::move(fact));
    return publish_payload(std::move(payload), guest_ns);
  }

  // Until the run's folder is gone; of a run elsewhere, until next() has handed out RunFinished.
  bool run_alive() const;
  uint64_t repaired() const;  // events that the bus did not bring, read from the log
  const RunInfo& run() const;

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  Status await_join();
  Error refusal(const ClientRefused& refused) const;
  Status publish_payload(PayloadUnion payload, uint64_t guest_ns);
  std::unique_ptr<State> state_;
};

}  // namespace ktstr
