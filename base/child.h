// A child process: spawned with a parent-death signal, watched by pidfd, reaped once.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// Another user than this process's; needs CAP_SETUID and CAP_SETGID.
struct ChildUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
};

struct ChildOptions {
  std::vector<std::string> argv;  // argv[0] is searched in PATH unless it holds a slash
  std::vector<std::string> env;   // additions and replacements, "NAME=value"
  std::vector<int> keep_fds;      // inherited under the same numbers; every other fd above 2 is closed
  int stdin_fd = -1;              // -1: /dev/null
  int stdout_fd = -1;             // -1: inherited
  int stderr_fd = -1;             // -1: inherited
  bool own_session = true;        // a Ctrl-C at the terminal does not reach it
  std::optional<ChildUser> user;  // not set: this process's
  int parent_death_signal = 9;    // 0: none. Bound to the spawning *thread*: spawn from one that lives on
};

struct ChildExit {
  int exit_code = 0;  // valid when signal == 0
  int signal = 0;
  bool clean() const { return signal == 0 && exit_code == 0; }
  std::string to_string() const;  // "exit code 3", "killed by signal 11 (Segmentation fault)"
};

class Child {
 public:
  // Fails with the errno of exec itself, so a missing program is told apart from one that exits early.
  static Result<Child> spawn(const ChildOptions& options);

  Child() = default;
  Child(Child&&) = default;
  Child& operator=(Child&&) = default;
  ~Child();  // kills (SIGKILL) and reaps what still runs

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once the child has ended

  void signal(int signo) const;
  // A signal (SIGSTOP) has stopped it and it was not continued since.
  bool stopped() const;
  // Reaps if it has ended; nullopt while it runs.
  std::optional<ChildExit> poll();
  // Waits at most `limit`, then nullopt.
  std::optional<ChildExit> wait(std::chrono::milliseconds limit);
  // SIGTERM, wait `grace`, SIGKILL, reap.
  ChildExit terminate(std::chrono::milliseconds grace);

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// Runs to the end with stdout captured (bounded), stderr too when merged. For short tools.
struct CapturedRun {
  ChildExit exit;
  std::string out;
};
Result<CapturedRun> run_captured(ChildOptions options, std::chrono::milliseconds limit,
                                 bool merge_stderr = true);

}  // namespace ktstr
