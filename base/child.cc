#include "base/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace ktstr {
namespace {

using std::chrono::milliseconds;

constexpr size_t kCaptureLimit = 64u << 20;

// The child's side between fork and exec: async-signal-safe calls only. Reports errno of the failing step.
[[noreturn]] void become(const ChildOptions& o, char* const* argv, char* const* envp, int status_fd,
                         pid_t parent) {
  auto fail = [&] {
    int err = errno;
    (void)!::write(status_fd, &err, sizeof err);
    ::_exit(127);
  };
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGCHLD}) ::signal(s, SIG_DFL);
  if (o.own_session) ::setsid();
  // The system calls themselves: those of libc tell every thread, of which there is one here. Before the parent-death signal,
  // which a change of user takes back.
  if (const auto& user = o.user) {
    if (::syscall(SYS_setgroups, user->groups.size(), user->groups.data()) != 0 ||
        ::syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0 ||
        ::syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0)
      fail();
  }
  if (o.parent_death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, o.parent_death_signal) != 0) fail();
    if (::getppid() != parent) ::_exit(127);  // the parent died before prctl
  }
  int in = o.stdin_fd >= 0 ? o.stdin_fd : ::open("/dev/null", O_RDONLY);
  if (in < 0 || ::dup2(in, 0) < 0) fail();
  if (o.stdout_fd >= 0 && ::dup2(o.stdout_fd, 1) < 0) fail();
  if (o.stderr_fd >= 0 && ::dup2(o.stderr_fd, 2) < 0) fail();
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  for (int fd : o.keep_fds) ::fcntl(fd, F_SETFD, 0);
  ::execvpe(argv[0], argv, envp);
  fail();
  __builtin_unreachable();
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> env = extra;
  auto named = [&](std::string_view entry) {
    auto name = entry.substr(0, entry.find('=') + 1);
    return std::any_of(extra.begin(), extra.end(), [&](const std::string& e) { return e.starts_with(name); });
  };
  for (char** e = environ; *e; ++e)
    if (!named(*e)) env.emplace_back(*e);
  return env;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string ChildExit::to_string() const {
  if (signal == 0) return "exit code " + std::to_string(exit_code);
  const char* name = ::strsignal(signal);
  return "killed by signal " + std::to_string(signal) + (name ? std::string(" (") + name + ")" : "");
}

Result<Child> Child::spawn(const ChildOptions& options) {
  if (options.argv.empty()) return Error::invalid("spawn: empty argv");
  std::vector<std::string> args = options.argv;
  std::vector<std::string> env = merged_environment(options.env);
  auto argv = pointers(args);
  auto envp = pointers(env);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("spawn " + args[0] + ": pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("spawn " + args[0] + ": fork");
  if (pid == 0) become(options, argv.data(), envp.data(), write_end.get(), parent);
  write_end.reset();
  int err = 0;
  ssize_t n;
  do n = ::read(read_end.get(), &err, sizeof err);
  while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof err)) {
    ::waitpid(pid, nullptr, 0);
    return Error::from_errno("start " + args[0], err);
  }
  Child child;
  child.pid_ = pid;
  child.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd_) return Error::from_errno("spawn " + args[0] + ": pidfd_open");
  return child;
}

Child::~Child() {
  if (running() && pidfd_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Child::signal(int signo) const {
  if (running()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signo, nullptr, 0);
}

bool Child::stopped() const {
  siginfo_t info{};
  return running() && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

std::optional<ChildExit> Child::poll() {
  if (!running()) return std::nullopt;
  int status = 0;
  pid_t got;
  do got = ::waitpid(pid_, &status, WNOHANG);
  while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  pid_ = -1;
  ChildExit exit;
  if (got > 0 && WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
  if (got > 0 && WIFEXITED(status)) exit.exit_code = WEXITSTATUS(status);
  if (got < 0) exit.exit_code = 127;
  return exit;
}

std::optional<ChildExit> Child::wait(milliseconds limit) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  while (running()) {
    if (auto exit = poll()) return exit;
    auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd p{pidfd_.get(), POLLIN, 0};
    ::poll(&p, 1, static_cast<int>(std::min<long long>(left + 1, 1 << 30)));
  }
  return std::nullopt;
}

ChildExit Child::terminate(milliseconds grace) {
  signal(SIGTERM);
  if (auto exit = wait(grace)) return *exit;
  signal(SIGKILL);
  if (auto exit = wait(milliseconds(60'000))) return *exit;
  return ChildExit{.exit_code = 127};
}

Result<CapturedRun> run_captured(ChildOptions options, milliseconds limit, bool merge_stderr) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  options.stdout_fd = write_end.get();
  if (merge_stderr) options.stderr_fd = write_end.get();
  auto child = Child::spawn(options);
  if (!child) return std::move(child).error();
  write_end.reset();
  CapturedRun run;
  auto deadline = std::chrono::steady_clock::now() + limit;
  char chunk[65536];
  while (true) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd p{read_end.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) == 0) {
      child->terminate(milliseconds(200));
      return Error::timeout(options.argv[0] + " did not end within " + std::to_string(limit.count() / 1000) +
                            " s");
    }
    ssize_t n = ::read(read_end.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (run.out.size() < kCaptureLimit) run.out.append(chunk, static_cast<size_t>(n));
  }
  auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
  auto exit = child->wait(std::max(left, milliseconds(100)));
  if (!exit) return Error::timeout(options.argv[0] + " closed its output but did not end");
  run.exit = *exit;
  return run;
}

}  // namespace ktstr
