#include "guest/init/probe_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/small_files.h"
#include "guest/init/fd_passing.h"
#include "guest/init/notify_filter.h"
#include "schemas/guest_paths.h"

namespace ktstr::guest {
namespace {}  // namespace

bool ProbeLink::start(uint64_t hang_ns) {
  hang_ns_ = hang_ns;
  if (!path_exists(kGuestProbe)) return false;
  int pipe[2], pair[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return false;
  UniqueFd events_read(pipe[0]), events_write(pipe[1]);
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  UniqueFd ours(pair[0]), theirs(pair[1]);
  ::fcntl(events_write.get(), F_SETPIPE_SZ, 1 << 20);
  ::fcntl(events_read.get(), F_SETFL, O_NONBLOCK);

  std::string events_fd = std::to_string(events_write.get()), control_fd = std::to_string(theirs.get());
  char* const argv[] = {const_cast<char*>(kGuestProbe),
                        const_cast<char*>("--plan"),
                        const_cast<char*>(kGuestPlan),
                        const_cast<char*>("--events-fd"),
                        events_fd.data(),
                        const_cast<char*>("--control-fd"),
                        control_fd.data(),
                        nullptr};
  char* const envp[] = {const_cast<char*>("PATH=/bin"), nullptr};
  pid_ = ::fork();
  if (pid_ < 0) return false;
  if (pid_ == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::fcntl(events_write.get(), F_SETFD, 0);
    ::fcntl(theirs.get(), F_SETFD, 0);
    ::execve(kGuestProbe, argv, envp);
    ::_exit(127);
  }
  alive_ = true;
  events_ = std::move(events_read);
  control_ = std::move(ours);
  loop_.watch(events_.get(), EPOLLIN, [this](uint32_t) { on_events(); });
  loop_.watch(control_.get(), EPOLLIN, [this](uint32_t) { on_control(); });
  return true;
}

void ProbeLink::on_events() {
  uint8_t buffer[32 * 1024];
  ssize_t n = ::read(events_.get(), buffer, sizeof(buffer));
  if (n < 0) return;
  if (n == 0) {
    loop_.unwatch(events_.get());
    events_.reset();
    return;
  }
  decoder_.feed({buffer, static_cast<size_t>(n)});
  while (auto event = decoder_.next()) channel_.send_payload(*event);
}

void ProbeLink::on_control() {
  char message[64];
  ssize_t n = ::recv(control_.get(), message, sizeof(message), MSG_DONTWAIT);
  if (n < 0) return;
  if (n == 0) {
    loop_.unwatch(control_.get());
    control_.reset();
    return;
  }
  if (message[0] == 'K') kernel_placed_ = true;
  if (message[0] == 'P') hooks_.programs_seen();
  if (message[0] == 'D') {
    while (events_ && events_readable()) on_events();  // its last frames are before 'D'
    done_ = true;
  }
}

void ProbeLink::scheduler_started(pid_t pid, int listener) {
  scheduler_ = pid;
  listener_ = listener;
  if (listener_ < 0) return;
  char message[1 + sizeof(uint32_t)] = {'L'};
  const uint32_t number = static_cast<uint32_t>(pid);
  std::memcpy(message + 1, &number, sizeof(number));
  if (!alive_ || !control_ || !send_with_fd(control_.get(), {message, sizeof(message)}, listener_))
    answer_ourselves();
}

void ProbeLink::scheduler_ended() {
  if (answering_) loop_.unwatch(listener_);
  answering_ = false;
  listener_ = -1;
}

void ProbeLink::finish() {
  if (alive_ && control_) ::send(control_.get(), "F", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ProbeLink::give_up(const std::string& why) {
  if (!alive_) return;
  hooks_.note("ktstr-probe " + why + ": killed, the run goes on without probes");
  alive_ = false;
  ::kill(pid_, SIGKILL);
  answer_ourselves();
}

void ProbeLink::on_end(int wait_status) {
  const bool expected = done_ || !alive_;
  alive_ = false;
  while (events_ && events_readable()) on_events();
  if (expected) return;
  hooks_.note("ktstr-probe ended early, " +
              (WIFSIGNALED(wait_status) ? "killed by signal " + std::to_string(WTERMSIG(wait_status))
                                        : "exit code " + std::to_string(WEXITSTATUS(wait_status))) +
              ": the run goes on without probes");
  answer_ourselves();
}

bool ProbeLink::events_readable() const {
  pollfd p{events_.get(), POLLIN, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & (POLLIN | POLLHUP)) != 0;
}

void ProbeLink::tick() {
  if (!alive_ || listener_ < 0) return;
  // POLLIN: a notification that nobody took; POLLOUT: one that was taken and not answered.
  pollfd p{listener_, POLLIN | POLLOUT, 0};
  if (::poll(&p, 1, 0) != 1 || (p.revents & (POLLIN | POLLOUT)) == 0) {
    waiting_since_ns_ = 0;
    return;
  }
  // Its run count tells one long wait from many short ones (a scheduler that updates maps all the time).
  std::string ran = read_text_or("/proc/" + std::to_string(scheduler_) + "/schedstat", "");
  if (waiting_since_ns_ == 0 || ran != scheduler_ran_) waiting_since_ns_ = now_ns();
  scheduler_ran_ = std::move(ran);
  if (now_ns() - waiting_since_ns_ > hang_ns_) give_up("paused the scheduler too long");
}

void ProbeLink::answer_ourselves() {
  if (listener_ < 0 || answering_) return;
  answering_ = true;
  loop_.watch(listener_, EPOLLIN, [this](uint32_t events) {
    if (events & EPOLLIN) continue_one(listener_);
    if (events & EPOLLHUP) scheduler_ended();
  });
  // A notification that the probe took died with it: only its receiver knew its number. A stop and a continue
  // make the kernel restart the interrupted call, which notifies anew.
  ::kill(scheduler_, SIGSTOP);
  ::kill(scheduler_, SIGCONT);
}

}  // namespace ktstr::guest
