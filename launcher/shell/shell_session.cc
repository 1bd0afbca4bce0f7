#include "launcher/shell/shell_session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/line_splitter.h"
#include "base/text.h"
#include "launcher/shell/kept_lines.h"
#include "launcher/shell/terminal.h"
#include "launcher/shell/user_output.h"
#include "schemas/envelope.h"
#include "schemas/frame_codec.h"
#include "schemas/guest_generated.h"
#include "schemas/limits.h"
#include "schemas/shell_message.h"
#include "schemas/spec_generated.h"
#include "schemas/vm_files.h"

namespace ktstr {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr size_t kMuchOutput = 256u << 10;    // that the user has not taken: the guest waits
constexpr uint64_t kEndLimit = 15 * kSecond;  // for the scheduler's end, scaled
constexpr uint8_t kGoodbye[] = {'K'};         // guest/init/host_input.h
constexpr int kBrokenPipe = 128 + SIGPIPE;    // as a program ends whose reader has gone
// Puts in order what a program that was cut off may have left: alternate screen, hidden cursor, colours, mouse, pasting.
constexpr char kSaneScreen[] = "\033[?1049l\033[?25h\033[0m\033[?1000l\033[?1006l\033[?2004l\r\n";

struct SocketPair {
  UniqueFd ours, qemus;
};

Result<SocketPair> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Error::from_errno("socketpair");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Regular files and /dev/null do not: they can always be read.
bool can_be_waited_for(int fd) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

class ShellRun {
 public:
  explicit ShellRun(ShellOptions options)
      : options_(std::move(options)), outputs_{UserOutput(STDOUT_FILENO), UserOutput(STDERR_FILENO)} {}

  Result<int> run() {
    if (auto s = begin(); !s) return std::move(s).error();
    loop_.run_until([this] { return turn(); }, UINT64_MAX);
    leave_terminal();
    if (vm_) vm_->qemu().kill_and_reap();
    if (failure_) return std::move(*failure_);
    return code_;
  }

 private:
  Status begin();
  Status catch_signals();
  bool turn();
  void on_signals();
  void on_console();
  void on_channel();
  void on_frame(std::span<const uint8_t> payload);
  void on_event(const EventBuffer& event);
  void on_message(const ShellMessage& message);
  void on_qemu();
  void begin_shell();
  void read_input();
  void watch_input();
  void watch_outputs();
  void watch_channel();
  void write_channel();
  bool refill();
  void queue(std::span<const uint8_t> payload) { append_frame(payload, to_guest_); }
  void send_size();
  void tell(const std::string& text);
  void leave_terminal();
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }
  uint64_t now() const { return options_.vm.clock->monotonic_ns(); }
  bool with_scheduler() const { return options_.vm.start_scheduler && options_.vm.spec->scheduler; }

  ShellOptions options_;
  EventLoop loop_;
  std::unique_ptr<VmSession> vm_;
  UniqueFd console_, channel_, handover_, signals_;
  std::optional<RawTerminal> raw_;
  EscapeWatch escape_;
  TerminalSize size_;
  std::array<UserOutput, 2> outputs_;  // stdout, stderr

  LineSplitter console_splitter_{kMaxLine};
  KeptLines console_lines_, scheduler_lines_;
  FrameDecoder frames_;
  std::vector<uint8_t> to_guest_;
  size_t sent_ = 0;  // bytes of it

  uint64_t began_ns_ = 0;
  bool listening_ = true;    // the channel is read
  bool started_ = false;     // the shell
  bool input_ends_ = false;  // nothing more comes from the user
  bool can_wait_ = true;     // for the user's input
  size_t on_the_way_ = 0;    // bytes of input that the shell has not taken
  std::string guest_failure_;
  std::optional<int> ended_;  // the shell: its code
  uint64_t ended_ns_ = 0;
  bool finished_ = false;  // GuestFinished has come
  bool qemu_ended_ = false;
  QemuExit qemu_exit_;

  int code_ = 0;
  bool done_ = false;
  std::optional<Error> failure_;
};

Status ShellRun::catch_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT}) sigaddset(&mask, s);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  signals_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Error::from_errno("signalfd");
  for (int fd : {signals_.get(), options_.signal_fd})
    loop_.watch(fd, EPOLLIN, [this](uint32_t) { on_signals(); });
  return {};
}

Status ShellRun::begin() {
  if (auto s = catch_signals(); !s) return s;
  if (!options_.out.empty()) {
    if (auto s = console_lines_.open(options_.out + "/console.txt"); !s) return s;
    if (with_scheduler())
      if (auto s = scheduler_lines_.open(options_.out + "/scheduler.txt"); !s) return s;
  }
  auto console = socket_pair(), channel = socket_pair();
  if (!console) return std::move(console).error();
  if (!channel) return std::move(channel).error();
  options_.vm.console_fd = console->qemus.get();
  options_.vm.channel_fd = channel->qemus.get();
  began_ns_ = now();
  auto vm = VmSession::start(options_.vm);
  if (!vm) return std::move(vm).error();
  vm_ = std::move(vm).value();
  if (!vm_->facts().boot_note.empty())
    options_.progress->say("warning: the VM boots: " + vm_->facts().boot_note);
  console_ = std::move(console->ours);
  channel_ = std::move(channel->ours);
  const std::string work = options_.vm.bus_folder + "/" + handover_file(options_.vm.vm);
  handover_ = UniqueFd(::open(work.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!handover_) return Error::from_errno(work);
  loop_.watch(console_.get(), EPOLLIN, [this](uint32_t) { on_console(); });
  loop_.watch(vm_->qemu().pidfd(), EPOLLIN, [this](uint32_t) { on_qemu(); });
  if (vm_->qemu().output_fd() >= 0)
    loop_.watch(vm_->qemu().output_fd(), EPOLLIN, [this, fd = vm_->qemu().output_fd()](uint32_t) {
      vm_->qemu().drain_output();
      if (vm_->qemu().output_fd() < 0) loop_.unwatch(fd);
    });
  loop_.every(200 * kMs, [] {});  // limits are looked at
  watch_channel();
  return {};
}

// Once a turn of the loop. True: nothing is left to do.
bool ShellRun::turn() {
  for (UserOutput& output : outputs_) {
    if (auto s = output.pump(); !s) fail(std::move(s).error());
    if (!output.closed()) continue;
    // A reader that went away ends the VM, as it would end a program here.
    code_ = kBrokenPipe;
    done_ = true;
  }
  write_channel();
  watch_outputs();
  watch_channel();
  if (failure_ || done_) return true;
  const size_t waiting = outputs_[0].pending() + outputs_[1].pending();
  const bool scheduler_over =
      !with_scheduler() || finished_ || qemu_ended_ ||
      now() - ended_ns_ >
          static_cast<uint64_t>(static_cast<double>(kEndLimit) * std::max(options_.vm.time_scale, 1.0));
  if (ended_ && waiting == 0 && scheduler_over) {
    code_ = *ended_;
    return true;
  }
  if (ended_) return false;
  if (finished_)
    fail(Error::system(guest_failure_.empty() ? "the guest finished without a shell" : guest_failure_));
  else if (qemu_ended_ && waiting == 0)
    fail(Error::system("the VM ended before its shell did (" +
                       (qemu_exit_.signal ? "QEMU: signal " + std::to_string(qemu_exit_.signal)
                                          : "QEMU: exit code " + std::to_string(qemu_exit_.exit_code)) +
                       ")" + (console_lines_.empty() ? "" : "; the kernel's last lines:") +
                       console_lines_.shown()));
  else if (!started_ && now() - began_ns_ > options_.start_limit_ns)
    fail(Error::timeout("the guest's shell did not start within " + human_ns(options_.start_limit_ns) +
                        (console_lines_.empty() ? "" : "; the kernel's last lines:") +
                        console_lines_.shown()));
  return failure_.has_value();
}

void ShellRun::on_signals() {
  signalfd_siginfo info;
  for (int fd : {options_.signal_fd, signals_.get()})
    while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      switch (static_cast<int>(info.ssi_signo)) {
        case SIGWINCH:
          send_size();
          break;
        case SIGTSTP:
          if (raw_) raw_->leave();
          ::kill(::getpid(), SIGSTOP);
          break;
        case SIGCONT:
          if (raw_) raw_->reenter();
          send_size();
          break;
        default:
          code_ = 128 + (info.ssi_signo == SIGINT ? SIGINT : SIGTERM);
          done_ = true;
      }
    }
}

void ShellRun::on_qemu() {
  auto exit = vm_->qemu().try_reap();
  if (!exit) return;
  loop_.unwatch(vm_->qemu().pidfd());
  qemu_exit_ = *exit;
  // What is still in the sockets comes first.
  for (const UniqueFd* fd : {&console_, &channel_})
    while (*fd) fd == &console_ ? on_console() : on_channel();
  qemu_ended_ = true;
}

void ShellRun::on_console() {
  char chunk[16 * 1024];
  const ssize_t n = ::read(console_.get(), chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR) && !vm_->qemu().try_reap()) return;
  auto line = [this](std::string_view text, bool) { console_lines_.add(text); };
  if (n > 0) return console_splitter_.feed({chunk, static_cast<size_t>(n)}, line);
  console_splitter_.flush(line);
  loop_.unwatch(console_.get());
  console_.reset();
}

void ShellRun::on_channel() {
  uint8_t chunk[64 * 1024];
  const ssize_t n = ::read(channel_.get(), chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR) && !vm_->qemu().try_reap()) return;
  if (n <= 0) {
    loop_.unwatch(channel_.get());
    channel_.reset();
    return;
  }
  frames_.feed({chunk, static_cast<size_t>(n)});
  while (auto payload = frames_.next()) on_frame(*payload);
}

// The guest is not trusted: whatever it sends is a message of a shell, one of the few events that matter here, or nothing.
void ShellRun::on_frame(std::span<const uint8_t> payload) {
  if (const ShellMessage* message = as_shell_message(payload)) return on_message(*message);
  auto event = EventBuffer::from_bytes(payload);
  if (event && guest_may_send(event->type())) on_event(*event);
}

void ShellRun::on_event(const EventBuffer& event) {
  if (const auto* line = event.as<SchedulerLine>()) {
    scheduler_lines_.add(str(line->text()).substr(0, kMaxLine));
    if (!started_ && options_.terminal)
      options_.progress->say("[" + options_.vm.spec->scheduler->name + "] " + printable(str(line->text())));
  } else if (const auto* failed = event.as<GuestFailed>()) {
    guest_failure_ = printable(str(failed->error()).substr(0, kMaxLine));
    if (options_.terminal) tell(guest_failure_);
  } else if (const auto* attached = event.as<SchedulerAttached>()) {
    if (options_.terminal)
      tell("scheduler " + printable(str(attached->ops_name()).substr(0, 128)) + " attached");
  } else if (event.as<SchedulerDetached>() != nullptr) {
    if (!ended_) tell("the scheduler is not enabled any more" + scheduler_lines_.shown());
  } else if (event.as<GuestFinished>() != nullptr) {
    finished_ = true;
    queue(kGoodbye);
  }
}

void ShellRun::on_message(const ShellMessage& message) {
  if (message.payload_as_ShellStarted() != nullptr) {
    if (!started_) begin_shell();
  } else if (const auto* output = message.payload_as_ShellOutput()) {
    outputs_[output->stream() == OutputStream::Stderr ? 1 : 0].add(bytes_of(output->data()));
  } else if (const auto* taken = message.payload_as_ShellTaken()) {
    on_the_way_ -= std::min<size_t>(on_the_way_, taken->bytes());
    watch_input();
  } else if (const auto* exited = message.payload_as_ShellExited(); exited && !ended_) {
    if (exited->error())
      return fail(Error::system("the guest's shell: " + printable(str(exited->error()).substr(0, kMaxLine))));
    ended_ = exited->signal() ? 128 + (exited->signal() & 0x7f) : exited->exit_code() & 0xff;
    ended_ns_ = now();
    if (started_) loop_.unwatch(STDIN_FILENO);
    leave_terminal();
  }
}

void ShellRun::begin_shell() {
  started_ = true;
  options_.progress->clear();
  if (options_.terminal) {
    if (!options_.greeting.empty()) options_.progress->say(options_.greeting);
    if (auto raw = RawTerminal::enter(STDIN_FILENO))
      raw_.emplace(std::move(*raw));
    else
      return fail(std::move(raw).error());
    send_size();
  }
  // A command that a person starts at a terminal does not take what is typed there for others.
  input_ends_ = !options_.terminal && ::isatty(STDIN_FILENO);
  if (input_ends_) {
    ShellInputT end;
    end.end = true;
    queue(shell_message(std::move(end)));
  }
  can_wait_ = can_be_waited_for(STDIN_FILENO);
  watch_input();
}

// As much as the shell has room for.
void ShellRun::read_input() {
  uint8_t chunk[kShellPiece];
  const size_t room = std::min<size_t>(sizeof chunk, kShellWindow - on_the_way_);
  const ssize_t n = ::read(STDIN_FILENO, chunk, room);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  ShellInputT input;
  if (n > 0) {
    input.data.assign(chunk, chunk + n);
    on_the_way_ += static_cast<size_t>(n);
    if (options_.terminal && std::any_of(chunk, chunk + n, [this](uint8_t key) {
          return escape_.look(static_cast<char>(key), now());
        })) {
      done_ = true;
      code_ = 128 + SIGTERM;
    }
  } else if (options_.terminal) {  // it hung up
    done_ = true;
    code_ = 128 + SIGTERM;
  } else {
    input_ends_ = input.end = true;
  }
  queue(shell_message(std::move(input)));
  watch_input();
}

void ShellRun::watch_input() {
  const bool wanted = started_ && !ended_ && !input_ends_ && on_the_way_ < kShellWindow;
  if (!can_wait_) {
    if (wanted) read_input();
    return;
  }
  if (wanted)
    loop_.watch(STDIN_FILENO, EPOLLIN, [this](uint32_t) { read_input(); });
  else
    loop_.unwatch(STDIN_FILENO);
}

void ShellRun::watch_outputs() {
  for (UserOutput& output : outputs_)
    if (output.pending() != 0)
      loop_.watch(output.fd(), EPOLLOUT, [](uint32_t) {});  // turn() writes
    else
      loop_.unwatch(output.fd());
}

void ShellRun::watch_channel() {
  if (!channel_) return;
  listening_ = outputs_[0].pending() + outputs_[1].pending() < kMuchOutput;
  const bool writes = sent_ < to_guest_.size() || handover_;
  const uint32_t wanted = (listening_ ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
  loop_.unwatch(channel_.get());
  if (wanted != 0)
    loop_.watch(channel_.get(), wanted, [this](uint32_t events) {
      if (listening_ && (events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) on_channel();
    });
}

// The work comes first, a piece at a time. False: nothing is there to send.
bool ShellRun::refill() {
  if (sent_ < to_guest_.size()) return true;
  to_guest_.clear();
  sent_ = 0;
  if (!handover_) return false;
  to_guest_.resize(256u << 10);
  const ssize_t n = ::read(handover_.get(), to_guest_.data(), to_guest_.size());
  to_guest_.resize(n > 0 ? static_cast<size_t>(n) : 0);
  if (n < 0) fail(Error::from_errno("the handover"));
  if (n <= 0) handover_.reset();
  return n > 0;
}

void ShellRun::write_channel() {
  while (channel_ && refill()) {
    const ssize_t n =
        ::send(channel_.get(), to_guest_.data() + sent_, to_guest_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // full, or QEMU has gone, which its process tells
    sent_ += static_cast<size_t>(n);
  }
}

void ShellRun::send_size() {
  if (!options_.terminal || !started_) return;
  const TerminalSize size = terminal_size(STDIN_FILENO);
  if (size == size_) return;
  size_ = size;
  ShellResizedT fact;
  fact.rows = size.rows;
  fact.cols = size.cols;
  queue(shell_message(std::move(fact)));
}

// A line of our own between those of the guest.
void ShellRun::tell(const std::string& text) {
  if (!raw_ || ended_) return options_.progress->say(text);
  std::string line = "\r\nktstr: ";
  for (char c : text) line += c == '\n' ? std::string("\r\n") : std::string(1, c);
  line += "\r\n";
  outputs_[1].add({reinterpret_cast<const uint8_t*>(line.data()), line.size()});
}

void ShellRun::leave_terminal() {
  if (!raw_) return;
  raw_.reset();
  if (ended_ || outputs_[0].closed()) return;
  // Cut off: the rest of what it wrote is of no use, but the terminal must not stay as the program wanted it.
  outputs_[0].add({reinterpret_cast<const uint8_t*>(kSaneScreen), sizeof kSaneScreen - 1});
  (void)outputs_[0].pump();
}

}  // namespace

Result<int> run_shell(ShellOptions options) { return ShellRun(std::move(options)).run(); }

}  // namespace ktstr
