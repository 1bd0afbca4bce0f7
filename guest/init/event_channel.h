// The guest's end of the event channel: facts become framed events.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "guest/init/carrier.h"
#include "guest/init/host_input.h"
#include "schemas/envelope.h"

namespace ktstr::guest {

class EventChannel {
 public:
  explicit EventChannel(std::unique_ptr<Carrier> carrier) : carrier_(std::move(carrier)) {}

  // The origin of the events. Before the plan is read it is not known, and the collector fills it in.
  void identify(std::string run_id, Vm vm, uint8_t attempt);

  // Queues one fact; the next pump() sends it, because each write costs an exit to the emulator. A host that does
  // not read blocks the caller for kBlockMs at most; then events are dropped and counted.
  template <typename T>
  void send(T fact, uint64_t guest_ns = now_ns()) {
    EventHead head = head_;
    head.guest_ns = guest_ns;
    send_payload(make_event(head, std::move(fact)).bytes());
  }
  // A finished event from ktstr-probe, or a message of the shell, passed on as it is.
  void send_payload(std::span<const uint8_t> event);

  // Writes what goes without waiting.
  void pump();
  // Writes all, and waits until the host has it. False: not within the limit. Commands that come meanwhile are dropped.
  bool drain(int limit_ms);

  // What the host says: -1 when nothing can come. Readable: take_input().
  int input_fd() const { return carrier_->input_fd(); }
  // Reads what is there and hands out each event. False: nothing more will come, ever.
  template <typename OnEvent>
  bool take_input(OnEvent&& on_event) {
    const bool open = read_input();
    while (auto event = input_.next()) on_event(*event);
    return open;
  }

  // Gets the messages for a shell, from take_input().
  void on_shell(std::function<void(const ShellMessage&)> take) { input_.on_shell(std::move(take)); }

  bool idle() const { return queue_.size() == sent_; }
  size_t queued() const { return queue_.size() - sent_; }  // bytes that the host has not taken
  uint64_t frames() const { return frames_; }
  uint64_t dropped() const { return dropped_; }

 private:
  static constexpr size_t kMaxQueue = 8u << 20;
  static constexpr size_t kBatch = 32u << 10;  // what the driver takes at once
  static constexpr int kBlockMs = 20'000;
  bool write_out(int limit_ms, size_t until);
  bool read_input();
  bool await_goodbye(int limit_ms);

  std::unique_ptr<Carrier> carrier_;
  EventHead head_{.source = "guest"};
  HostInput input_;
  std::vector<uint8_t> queue_;
  size_t sent_ = 0;  // bytes of queue_ that are out
  bool broken_ = false;
  uint64_t frames_ = 0, dropped_ = 0;
};

}  // namespace ktstr::guest
