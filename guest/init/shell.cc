#include "guest/init/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/exec_report.h"
#include "schemas/guest_paths.h"
#include "schemas/limits.h"
#include "schemas/shell_message.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kQueueLook = 25 * kMs;

// Links for all its applets, where no program of the test has the name; then the shell, with the arguments of this one.
std::vector<std::string> busybox_shell() {
  const std::string busybox = kGuestBusybox;
  return {busybox, "sh", "-c", busybox + " --install -s 2>/dev/null; exec sh \"$@\"", "sh"};
}

winsize window(uint16_t rows, uint16_t cols) {
  winsize size{};
  size.ws_row = rows;
  size.ws_col = cols;
  return size;
}

Status both_ends(UniqueFd& read_end, UniqueFd& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  read_end = UniqueFd(ends[0]);
  write_end = UniqueFd(ends[1]);
  return {};
}

}  // namespace

GuestShell::GuestShell(EventLoop& loop, EventChannel& channel, std::vector<std::string> sh)
    : loop_(loop), channel_(channel), sh_(sh.empty() ? busybox_shell() : std::move(sh)) {
  timer_ = loop_.every(kQueueLook, [this] {
    if (!paused_ || channel_.queued() > kShortQueue) return;
    paused_ = false;
    watch();
  });
}

GuestShell::~GuestShell() {
  loop_.cancel(timer_);
  for (size_t which : {0, 1}) close_output(which);
  close_input();
}

template <typename T>
void GuestShell::say(T fact) {
  channel_.send_payload(shell_message(std::move(fact)));
}

void GuestShell::start(const ShellPlanT& plan) {
  if (auto spawned = spawn(plan); !spawned) {
    over_ = true;
    ShellExitedT fact;
    fact.exit_code = 127;
    fact.error = spawned.error().message();
    return say(std::move(fact));
  }
  ShellStartedT fact;
  fact.pid = static_cast<uint32_t>(pid_);
  say(std::move(fact));
  watch();
}

Status GuestShell::make_terminal(const ShellPlanT& plan, std::array<UniqueFd, 3>& shells) {
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  char name[64];
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0 ||
      ::ptsname_r(master.get(), name, sizeof name) != 0)
    return Error::from_errno("a terminal in the guest");
  shells[0] = UniqueFd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!shells[0]) return Error::from_errno(std::string("open ") + name);
  const winsize size = window(plan.rows, plan.cols);
  ::ioctl(master.get(), TIOCSWINSZ, &size);
  outputs_[0] = std::move(master);
  return {};
}

Status GuestShell::make_pipes(std::array<UniqueFd, 3>& shells) {
  if (auto s = both_ends(shells[0], input_); !s) return s;
  for (size_t which : {0, 1})
    if (auto s = both_ends(outputs_[which], shells[which + 1]); !s) return s;
  for (int fd : {input_.get(), outputs_[0].get(), outputs_[1].get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return {};
}

// In the child. It returns only when that failed.
void GuestShell::become_shell(const std::vector<std::string>& argv, const ShellPlanT& plan,
                              const std::array<UniqueFd, 3>& shells, int report) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
  ::setsid();
  if (plan.terminal) ::ioctl(shells[0].get(), TIOCSCTTY, 0);
  for (size_t i = 0; i < shells.size(); ++i) ::dup2(shells[plan.terminal ? 0 : i].get(), static_cast<int>(i));
  std::vector<const char*> words;
  for (const std::string& word : argv) words.push_back(word.c_str());
  words.push_back(nullptr);
  std::vector<const char*> env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/ktstr", "HOME=/"};
  for (const std::string& variable : plan.env) env.push_back(variable.c_str());
  env.push_back(nullptr);
  ::execve(words[0], const_cast<char**>(words.data()), const_cast<char**>(env.data()));
  const int error = errno;
  (void)!::write(report, &error, sizeof error);
}

Status GuestShell::spawn(const ShellPlanT& plan) {
  terminal_ = plan.terminal;
  std::array<UniqueFd, 3> shells;
  if (auto s = terminal_ ? make_terminal(plan, shells) : make_pipes(shells); !s) return s;
  std::vector<std::string> argv = sh_;
  if (!plan.command.empty()) argv.insert(argv.end(), {"-c", plan.command});
  UniqueFd report, reports;
  if (auto s = both_ends(report, reports); !s) return s;
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("fork");
  if (pid == 0) {
    become_shell(argv, plan, shells, reports.get());
    ::_exit(127);
  }
  reports.reset();
  if (const int error = exec_error(report.get())) return Error::from_errno("start " + argv[0], error);
  pid_ = pid;
  return {};
}

// What is waited for on each descriptor now.
void GuestShell::watch() {
  for (size_t which : {0, 1}) {
    const int fd = outputs_[which].get();
    if (fd < 0) continue;
    const bool writes = which == 0 && terminal_ && !pending_.empty();
    const uint32_t wanted = (paused_ ? 0u : EPOLLIN) | (writes ? EPOLLOUT : 0u);
    // A terminal that hung up is reported even when nothing is asked for.
    loop_.unwatch(fd);
    if (wanted == 0) continue;
    loop_.watch(fd, wanted, [this, which](uint32_t events) {
      if ((events & EPOLLOUT) != 0) write_input();
      if (!paused_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_output(which);
    });
  }
  if (!input_) return;
  loop_.unwatch(input_.get());
  if (!pending_.empty()) loop_.watch(input_.get(), EPOLLOUT, [this](uint32_t) { write_input(); });
}

void GuestShell::on_message(const ShellMessage& message) {
  if (const auto* input = message.payload_as_ShellInput())
    return take_input(bytes_of(input->data()), input->end());
  if (const auto* resized = message.payload_as_ShellResized(); resized && terminal_ && outputs_[0]) {
    const winsize size = window(resized->rows(), resized->cols());
    ::ioctl(outputs_[0].get(), TIOCSWINSZ, &size);  // the foreground job gets SIGWINCH
  }
}

void GuestShell::take_input(std::span<const uint8_t> bytes, bool end) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  end_of_input_ = end_of_input_ || end;
  write_input();
}

void GuestShell::write_input() {
  const int fd = terminal_ ? outputs_[0].get() : input_.get();
  size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t n = fd < 0 ? -1 : ::write(fd, pending_.data() + done, pending_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && fd >= 0 && errno == EAGAIN) break;
    // Nobody reads it any more.
    done = n < 0 ? pending_.size() : done + static_cast<size_t>(n);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done));
  taken(done);
  if (pending_.empty() && end_of_input_ && !terminal_) close_input();
  watch();
}

void GuestShell::taken(size_t bytes) {
  if (bytes == 0) return;
  ShellTakenT fact;
  fact.bytes = static_cast<uint32_t>(bytes);
  say(std::move(fact));
}

// False: nothing is there now, or the stream has ended.
bool GuestShell::read_output(size_t which) {
  if (!outputs_[which]) return false;
  uint8_t buffer[kShellPiece];
  const ssize_t n = ::read(outputs_[which].get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n <= 0) {  // EIO: no process has the terminal open
    close_output(which);
    return false;
  }
  ShellOutputT fact;
  fact.stream = which == 0 ? OutputStream::Stdout : OutputStream::Stderr;
  fact.data.assign(buffer, buffer + n);
  say(std::move(fact));
  if (channel_.queued() > kLongQueue && !paused_) {
    paused_ = true;
    watch();
  }
  return true;
}

void GuestShell::close_output(size_t which) {
  if (!outputs_[which]) return;
  loop_.unwatch(outputs_[which].get());
  outputs_[which].reset();
}

void GuestShell::close_input() {
  if (!input_) return;
  loop_.unwatch(input_.get());
  input_.reset();
}

bool GuestShell::on_end(pid_t pid, int status) {
  if (pid_ == 0 || pid != pid_) return false;
  pid_ = 0;
  for (size_t which : {0, 1}) {
    for (size_t i = 0; i < kLastWords / kShellPiece && read_output(which); ++i) {
    }
    close_output(which);
  }
  close_input();
  ShellExitedT fact;
  fact.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  fact.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  say(std::move(fact));
  over_ = true;
  return true;
}

}  // namespace ktstr::guest
