#include "guest/init/scheduler_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "guest/init/fd_passing.h"
#include "guest/init/notify_filter.h"
#include "guest/init/output_pipe.h"
#include "schemas/guest_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr::guest {
namespace {

// What the child tells before exec. Nothing arrives after a successful exec: the socket closes on it.
struct ChildReport {
  int step;  // index of kSteps
  int error;
};
enum Step { kStepListener, kStepFilter, kStepExec };

struct ChildSetup {
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::vector<sock_filter> filter;  // empty: none
  int out = -1, err = -1, report = -1;
};

// Variables that every scheduler has; the spec's come over them.
constexpr std::pair<const char*, const char*> kEnvironment[] = {
    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"HOME", "/root"},
    {"USER", "root"},
    {"LOGNAME", "root"},
    {"SHELL", "/bin/sh"},
    {"TERM", "dumb"},
    {"LANG", "C.UTF-8"},
    {"RUST_BACKTRACE", "1"},
};

std::vector<std::string> environment_of(const SchedulerSpecT& spec) {
  std::map<std::string, std::string> all(std::begin(kEnvironment), std::end(kEnvironment));
  for (const auto& variable : spec.env) all[variable->key] = variable->value;
  std::vector<std::string> words;
  for (const auto& [name, value] : all) words.push_back(name + "=" + value);
  return words;
}

[[noreturn]] void child_main(const ChildSetup& setup) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(setup.out, 1);
  ::dup2(setup.err, 2);
  auto tell = [&](int step, int error, int fd) {
    ChildReport report{step, error};
    send_with_fd(setup.report, {reinterpret_cast<const char*>(&report), sizeof(report)}, fd);
  };
  if (!setup.filter.empty()) {
    int listener = install_notify_filter(setup.filter);
    if (listener < 0)
      tell(kStepFilter, errno, -1);  // goes on without: probes are lost, the run is not
    else
      tell(kStepListener, 0, listener);
    if (listener >= 0) ::close(listener);
  }
  ::execve(setup.argv[0], setup.argv.data(), setup.envp.data());
  tell(kStepExec, errno, -1);
  ::_exit(127);
}

}  // namespace

std::string ProcessEnd::to_string() const {
  if (signal != 0) return "signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exit code " + std::to_string(exit_code);
}

Status SchedulerProcess::start(const SchedulerSpecT& spec, bool filtered) {
  auto out = make_output_pipe();
  auto err = make_output_pipe();
  int report[2];
  if (!out || !err || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) != 0)
    return Error::from_errno("pipes of the scheduler");
  UniqueFd ours(report[0]), theirs(report[1]);

  std::vector<std::string> words{spec.guest_path};
  words.insert(words.end(), spec.args.begin(), spec.args.end());
  std::vector<std::string> env = environment_of(spec);
  ChildSetup setup;
  for (auto& w : words) setup.argv.push_back(w.data());
  for (auto& e : env) setup.envp.push_back(e.data());
  setup.argv.push_back(nullptr);
  setup.envp.push_back(nullptr);
  if (filtered) setup.filter = notify_filter();
  setup.out = out->write.get();
  setup.err = err->write.get();
  setup.report = theirs.get();

  pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("fork the scheduler");
  if (pid == 0) child_main(setup);
  pid_ = pid;
  theirs.reset();
  out->write.reset();
  err->write.reset();

  // Ends when exec closes the child's end.
  ChildReport said{};
  UniqueFd passed;
  while (receive_with_fd(ours.get(), &said, sizeof(said), &passed) == sizeof(said)) {
    if (said.step == kStepListener) listener_ = std::move(passed);
    if (said.step == kStepExec) {
      ::waitpid(pid, nullptr, 0);
      pid_ = -1;
      auto error = Error::from_errno("start " + spec.guest_path, said.error);
      if (said.error != ENOENT || ::access(spec.guest_path.c_str(), F_OK) != 0) return error;
      // exec says the same about a program whose loader or script interpreter is missing.
      return std::move(error).within("the file is there, its ELF loader or interpreter is not");
    }
  }
  out_.start(std::move(out->read));
  err_.start(std::move(err->read));
  return {};
}

void SchedulerProcess::line(OutputStream stream, std::string_view text, bool truncated, uint64_t guest_ns) {
  SchedulerLineT fact;
  fact.stream = stream;
  fact.text = text;
  fact.truncated = truncated;
  channel_.send(std::move(fact), guest_ns);
}

void SchedulerProcess::on_end(int wait_status) {
  ProcessEnd end;
  end.dumped_core = WCOREDUMP(wait_status);
  if (WIFSIGNALED(wait_status))
    end.signal = WTERMSIG(wait_status);
  else
    end.exit_code = WEXITSTATUS(wait_status);
  end_ = end;
}

void SchedulerProcess::signal(int signo) {
  if (!running()) return;
  end_requested_ = end_requested_ || signo == SIGINT || signo == SIGTERM || signo == SIGKILL;
  ::kill(pid_, signo);
}

void SchedulerProcess::drain_output(bool last) {
  out_.drain(last);
  err_.drain(last);
}

uint64_t SchedulerProcess::last_output_ns() const {
  return std::max(out_.last_byte_ns(), err_.last_byte_ns());
}

}  // namespace ktstr::guest
