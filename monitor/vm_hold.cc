#include "monitor/vm_hold.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <sstream>

#include "base/small_files.h"
#include "base/unique_fd.h"
#include "runtime/qmp_client.h"

namespace ktstr {
namespace {

constexpr char kHeld = 'h', kReleased = 'r';

// The command line as others see it. It is ours to overwrite, and the guard's copy says who it is.
struct CommandLine {
  char* begin = nullptr;
  size_t size = 0;
};

CommandLine own_command_line() {
  const std::string text = read_text_or("/proc/self/stat", "");
  const size_t name_end = text.rfind(')');
  if (name_end == text.npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 48; ++field) fields >> skipped;  // proc(5): 48 arg_start, 49 arg_end
  uint64_t begin = 0, end = 0;
  if (!(fields >> begin >> end) || begin == 0 || end <= begin) return {};
  return {reinterpret_cast<char*>(begin), end - begin};
}

void rename_process(const CommandLine& line) {
  constexpr char kName[] = "ktstr-guard";
  if (line.size > sizeof kName) {
    std::memset(line.begin, 0, line.size);
    std::memcpy(line.begin, kName, sizeof kName);
  }
  ::prctl(PR_SET_NAME, kName);
}

// The guard's life: async-signal-safe calls only, since it is forked from a process with threads.
[[noreturn]] void guard(int commands, int qmp, int limit_ms) {
  static constexpr char kCont[] = "\n{\"execute\": \"cont\"}\n";
  bool held = false;
  for (;;) {
    pollfd p{commands, POLLIN, 0};
    const int ready = ::poll(&p, 1, held ? limit_ms : -1);
    if (ready < 0) continue;
    char c = 0;
    const bool said = ready > 0 && ::read(commands, &c, 1) == 1;
    if (said) {
      held = c == kHeld;
      continue;
    }
    if (held) (void)!::send(qmp, kCont, sizeof kCont - 1, MSG_NOSIGNAL);
    if (ready == 0) {  // the monitor hangs; it may yet end
      held = false;
      continue;
    }
    // QEMU drops what it has not read yet when the connection ends: stay until it has answered.
    char drop[512];
    pollfd q{qmp, POLLIN, 0};
    while (held && ::poll(&q, 1, limit_ms) > 0 && ::read(qmp, drop, sizeof drop) > 0) {
    }
    ::_exit(0);
  }
}

class QmpHold : public VmHold {
 public:
  explicit QmpHold(QmpClient client) : client_(std::move(client)) {}
  ~QmpHold() override {
    if (held_) (void)release();
    commands_.reset();
    if (guard_ > 0) {
      // Not held: it ends at once. A release that failed leaves the rest to it.
      if (!broken_) ::kill(guard_, SIGKILL);
      ::waitpid(guard_, nullptr, broken_ ? WNOHANG : 0);
    }
  }
  QmpHold(const QmpHold&) = delete;
  QmpHold& operator=(const QmpHold&) = delete;

  Status start_guard(int limit_ms) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe");
    UniqueFd read_end(ends[0]), write_end(ends[1]);
    const CommandLine line = own_command_line();
    const pid_t pid = ::fork();
    if (pid < 0) return Error::from_errno("fork");
    if (pid == 0) {
      constexpr int kCommands = 3, kQmp = 4;
      // Out of the way of the two numbers first, then everything else is closed.
      const int a = ::fcntl(read_end.get(), F_DUPFD, 10), b = ::fcntl(client_.fd(), F_DUPFD, 10);
      ::dup2(a, kCommands);
      ::dup2(b, kQmp);
      ::close_range(kQmp + 1, ~0u, 0);
      for (int fd = 0; fd < kCommands; ++fd) ::close(fd);
      rename_process(line);
      ::signal(SIGHUP, SIG_IGN);
      ::signal(SIGTERM, SIG_IGN);
      guard(kCommands, kQmp, limit_ms);
    }
    guard_ = pid;
    limit_ns_ = static_cast<uint64_t>(limit_ms) * 1'000'000;
    commands_ = std::move(write_end);
    return {};
  }

  Status hold() override {
    if (broken_) return Error::system("QMP: QEMU did not answer the last time");
    tell(kHeld);
    held_ = true;
    auto status = client_.stop();
    if (!status) broken_ = true;
    return status;
  }
  Status release() override {
    if (!held_) return {};
    held_ = false;
    // Sent after a failed stop as well: QEMU obeys in order, however late.
    auto status = client_.cont();
    if (status && !broken_)
      tell(kReleased);
    else
      broken_ = true;  // the guard goes on
    return status;
  }
  uint64_t limit_ns() const override { return limit_ns_; }

 private:
  void tell(char c) { (void)!::write(commands_.get(), &c, 1); }

  QmpClient client_;
  UniqueFd commands_;
  pid_t guard_ = -1;
  uint64_t limit_ns_ = 0;
  bool held_ = false, broken_ = false;
};

}  // namespace

Result<std::unique_ptr<VmHold>> open_qmp_hold(const std::string& qmp_path, const QmpHoldOptions& options) {
  auto client = QmpClient::connect(qmp_path, options.connect_ms);
  if (!client) return std::move(client).error();
  client->set_timeout(options.answer_ms);
  auto hold = std::make_unique<QmpHold>(std::move(*client));
  if (auto status = hold->start_guard(options.guard_ms); !status) return std::move(status).error();
  return std::unique_ptr<VmHold>(std::move(hold));
}

}  // namespace ktstr
