// A minimal QMP client: one command at a time, over a unix socket, with a deadline on each.
// Thread rule: one thread. Events that QEMU sends meanwhile are kept (bounded) for take_events().
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

class QmpClient {
 public:
  // Connects (retrying while the socket is not there yet), reads the greeting, negotiates capabilities.
  static Result<QmpClient> connect(const std::string& socket_path, int timeout_ms);
  // The same over a socket that is connected already: QEMU has the other end.
  static Result<QmpClient> over(UniqueFd socket, int timeout_ms);
  QmpClient(QmpClient&&) = default;
  QmpClient& operator=(QmpClient&&) = default;

  // {"execute": COMMAND, "arguments": ARGUMENTS}; `arguments` is JSON text of an object, or empty.
  // Returns the text of "return". kInvalid: QEMU answered with an error (its text); kTimeout; kSystem: QEMU
  // is gone.
  // `pass_fd`: goes with the command (getfd); -1: none.
  Result<std::string> execute(const std::string& command, const std::string& arguments = "",
                              int pass_fd = -1);

  // "running", "paused", "internal-error", "guest-panicked", ...
  Result<std::string> query_status();
  Status stop();
  Status cont();
  // Asks QEMU to end; its end may come before its answer.
  Status quit();

  // Names of events since the last call, oldest first ("SHUTDOWN", "STOP"); of SHUTDOWN with its reason: "SHUTDOWN guest-reset".
  std::vector<std::string> take_events();
  // Takes what QEMU has said by itself, without waiting. kSystem: it is gone.
  Status look();
  // How long the next commands may take.
  void set_timeout(int timeout_ms) { timeout_ms_ = timeout_ms; }
  // For a poll loop; readable when QEMU said something or is gone.
  int fd() const { return fd_.get(); }

 private:
  QmpClient(UniqueFd fd, int timeout_ms) : fd_(std::move(fd)), timeout_ms_(timeout_ms) {}
  Result<std::string> read_message(long long deadline_ms);
  Status negotiate(long long deadline_ms);
  void keep_event(std::string name, const std::string& reason);

  UniqueFd fd_;
  int timeout_ms_;
  std::string buffer_;
  std::vector<std::string> events_;
};

}  // namespace ktstr
