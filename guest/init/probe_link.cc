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
#include "guest/init/own_class.h"
#include "schemas/guest_paths.h"

namespace ktstr::guest {

void ProbeLink::start(bool for_template) {
  if (!path_exists(kGuestProbe)) return;
  int pipe[2], pair[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return;
  UniqueFd events_read(pipe[0]), events_write(pipe[1]);
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
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
                        const_cast<char*>("--for-template"),
                        const_cast<char*>(for_template ? "1" : "0"),
                        nullptr};
  char* const envp[] = {const_cast<char*>("PATH=/bin"), nullptr};
  pid_ = fork_helper();
  if (pid_ < 0) return;
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
}

bool ProbeLink::begin(uint64_t hang_ns) {
  hang_ns_ = hang_ns;
  if (!alive_) start(false);
  begun_ = pid_ > 0;
  if (begun_) tell('B');
  return begun_;
}

void ProbeLink::dismiss() {
  if (begun_ || !alive_) return;
  alive_ = false;
  ::kill(pid_, SIGKILL);
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
    if (gate_.started()) gate_.attach_over();  // its thread uses the socket until here
    loop_.unwatch(control_.get());
    control_.reset();
    return;
  }
  if (message[0] == 'W') waiting_ = true;
  if (message[0] == 'K') kernel_placed_ = true;
  if (message[0] == 'P') {
    programs_seen_ = true;
    hooks_.programs_seen();
  }
  if (message[0] == 'S') looking_ = false;
  if (message[0] == 'D') {
    while (events_ && events_readable()) on_events();  // its last frames are before 'D'
    done_ = true;
  }
}

void ProbeLink::scheduler_started(UniqueFd listener) {
  if (!listener) return;
  const bool told = alive_ && control_ && send_with_fd(control_.get(), "L", listener.get());
  control_number_ = control_.get();
  AttachGate::Options options{.answer_limit_ns = hang_ns_};
  if (told) {
    options.hand_over = &ProbeLink::hand_over;
    options.receiver = &control_number_;
  }
  if (auto started = gate_.start(std::move(listener), options); !started)
    hooks_.note(started.error().message() + ": the scheduler's BPF_LINK_CREATE will fail");
}

// On the gate's thread.
bool ProbeLink::hand_over(void* control, const AttachCall& call) {
  return ::send(*static_cast<int*>(control), &call, sizeof(call), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof(call));
}

void ProbeLink::scheduler_enabled() {
  if (gate_.started()) gate_.attach_over();
  looking_ = !programs_seen_ && tell('E');
  programs_seen_ = false;  // of the next one
}

bool ProbeLink::tell(char letter) const {
  return alive_ && control_ && ::send(control_.get(), &letter, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

void ProbeLink::finish() { tell('F'); }

void ProbeLink::give_up(const std::string& why) {
  if (!alive_) return;
  hooks_.note("ktstr-probe " + why + ": killed, the run goes on without probes");
  alive_ = false;
  ::kill(pid_, SIGKILL);
  if (gate_.started()) gate_.attach_over();
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
  if (gate_.started()) gate_.attach_over();
}

bool ProbeLink::events_readable() const {
  pollfd p{events_.get(), POLLIN, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & (POLLIN | POLLHUP)) != 0;
}

void ProbeLink::tick() {
  if (alive_ && gate_.was_late()) give_up("paused the scheduler too long");
}

}  // namespace ktstr::guest
