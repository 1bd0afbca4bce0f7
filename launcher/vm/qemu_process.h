// One QEMU child process: in its own session (Ctrl-C does not reach it), killed by the kernel when the
// launcher dies, its stdout and stderr kept as a bounded tail.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

struct QemuExit {
  int exit_code = 0;
  int signal = 0;  // 0: exited
};

class QemuProcess {
 public:
  // `inherit`: descriptors that stay open under their own numbers (the RAM memfd). `env`, `user`: as ChildOptions. kNotFound: no
  // such program. The thread that calls start() must live as long as QEMU should (PDEATHSIG follows the thread).
  static Result<std::unique_ptr<QemuProcess>> start(const std::vector<std::string>& argv,
                                                    const std::vector<int>& inherit,
                                                    std::vector<std::string> env = {},
                                                    std::optional<ChildUser> user = std::nullopt);
  // Destroying it kills and reaps what still runs.
  QemuProcess(const QemuProcess&) = delete;
  QemuProcess& operator=(const QemuProcess&) = delete;

  pid_t pid() const { return pid_; }  // stays after the end
  // For a poll loop: readable once QEMU has ended (then call try_reap), and when it wrote something (then
  // call drain_output). output_fd is -1 after end of file.
  int pidfd() const { return child_.pidfd(); }
  // A signal has stopped it: the guest stands still.
  bool stopped() const { return child_.stopped(); }
  int output_fd() const { return output_.get(); }

  // Never blocks. New output is also appended to `*fresh` when given.
  void drain_output(std::string* fresh = nullptr);
  // Its last lines: at most 40 of at most 500 bytes.
  std::vector<std::string> output_tail() const;

  // nullopt while it runs. Never blocks.
  std::optional<QemuExit> try_reap();
  // SIGKILL, then waits for the end.
  QemuExit kill_and_reap();
  // Waits up to `timeout_ms` for the end; nullopt: still running.
  std::optional<QemuExit> wait_exit(int timeout_ms);

 private:
  QemuProcess(Child child, UniqueFd output)
      : child_(std::move(child)), pid_(child_.pid()), output_(std::move(output)) {}

  Child child_;
  pid_t pid_;
  UniqueFd output_;
  std::string tail_;
  std::optional<QemuExit> exit_;
};

}  // namespace ktstr
