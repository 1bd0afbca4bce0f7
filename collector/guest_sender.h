// What the host sends to one guest over the event channel: the test that it is to run (the handover), commands of clients, with
// their files, and the acknowledgement of GuestFinished. It knows no socket: the adapter asks for bytes and marks them as sent.
//
// Files come as a bundle, a file of channel frames: of a command, FileEmbedded events with the role "command"; the handover's
// (launcher/vm/handover.h) begins with HandoverStarted and ends with HandoverFinished. A bundle is read one frame at a time, as
// fast as the guest takes it.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/envelope.h"

namespace ktstr {

class GuestSender {
 public:
  static constexpr size_t kMaxCommands = 64;  // of one VM, that have not ended
  static constexpr uint64_t kMaxBundleBytes = 256u << 20;

  // The work of a guest that waits for it: before all commands. A frame that turns out damaged is left out: the guest notices.
  void hand_over(UniqueFd bundle);
  // `bundle`: may be empty (the program is in the guest already). Errors: the VM has finished, too
  // many commands, one of this name runs. A request without argv ends the running command of this name.
  // REQUIRES: request.type() is GuestCommandRequested.
  Status add(const EventBuffer& request, UniqueFd bundle);
  // The guest says that a command has ended.
  void ended(std::string_view name) { waiting_.erase(std::string(name)); }
  // The guest has finished: drops commands that have not begun, and acknowledges GuestFinished.
  void say_goodbye();
  // Commands that were requested and have not ended.
  const std::set<std::string>& waiting() const { return waiting_; }

  // The next bytes to write; empty: nothing to say. Valid until sent(). A bundle that turns out damaged is
  // dropped, and its command is moved to `failed()`.
  std::span<const uint8_t> next();
  void sent(size_t bytes);

  struct Failure {
    std::string name, error;
  };
  std::vector<Failure> take_failures() { return std::exchange(failures_, {}); }

 private:
  struct Item {
    std::string name;  // of the command; empty: the handover
    UniqueFd bundle;
    std::vector<uint8_t> request;  // frame
  };
  Result<bool> load_from_bundle(Item& item);

  std::deque<Item> items_;
  std::vector<uint8_t> frame_;  // in hand
  size_t sent_ = 0;             // bytes of it that are out
  std::set<std::string> waiting_;
  std::vector<Failure> failures_;
  bool goodbye_ = false, goodbye_said_ = false;
};

}  // namespace ktstr
