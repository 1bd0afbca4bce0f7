// One test of a parallel run, in a process of its own: forked from the launcher, which has planned it, with its own hub, log,
// helpers and folder. It tells its steps and its end through a pipe, a JSON object a line.
//
// Its stdin and stdout are /dev/null (the report is a file), its stderr is a pipe, it is the leader of a session of its own, and
// the kernel kills it when the launcher dies: its helpers then remove what is left.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/line_splitter.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "launcher/run/run_session.h"

namespace ktstr {

class TestProcess {
 public:
  struct Listener {
    std::function<void(const std::string&)> step, say;  // as Progress
    std::function<void(const std::string&)> stderr_line;
  };

  // REQUIRES: main thread, no other thread, signals blocked as for a signalfd. `environment` is copied by the fork.
  static Result<std::unique_ptr<TestProcess>> start(const TestSpecT& spec, RunEnvironment& environment);

  TestProcess(const TestProcess&) = delete;
  TestProcess& operator=(const TestProcess&) = delete;
  ~TestProcess();  // kills (SIGKILL) and reaps what still runs

  int words_fd() const { return words_.get(); }
  int stderr_fd() const { return errors_.get(); }
  int pidfd() const { return pidfd_.get(); }
  void signal(int signo) const;
  // Passes on what has come. False once the pipe is closed.
  bool read_words(const Listener& listener);
  bool read_stderr(const Listener& listener);
  // Reaps it; waits if it has not ended yet. The outcome that it told, or what is known of its end.
  Result<RunOutcome> reap();

 private:
  static constexpr size_t kMaxLine = 1 << 20;

  TestProcess() = default;
  void on_word(std::string_view line, const Listener& listener);

  pid_t pid_ = -1;
  UniqueFd pidfd_, words_, errors_;
  LineSplitter word_lines_{kMaxLine}, error_lines_{4096};
  std::optional<Result<RunOutcome>> told_;
};

}  // namespace ktstr
