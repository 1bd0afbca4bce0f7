#include "launcher/vm/qemu_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>

namespace ktstr {
namespace {

constexpr size_t kTailBytes = 20000;
constexpr size_t kTailLines = 40;
constexpr size_t kLineBytes = 500;

QemuExit to_qemu_exit(const ChildExit& exit) { return {exit.exit_code, exit.signal}; }

}  // namespace

Result<std::unique_ptr<QemuProcess>> QemuProcess::start(const std::vector<std::string>& argv,
                                                        const std::vector<int>& inherit,
                                                        std::vector<std::string> env,
                                                        std::optional<ChildUser> user) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe for QEMU's output");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);

  ChildOptions options;
  options.argv = argv;
  options.env = std::move(env);
  options.user = std::move(user);
  options.keep_fds = inherit;
  options.stdout_fd = write_end.get();
  options.stderr_fd = write_end.get();
  auto child = Child::spawn(options);
  if (!child) {
    return std::move(child)
        .error()
        .within("start " + argv.front())
        .with_hint("apt-get install qemu-system-x86");
  }
  return std::unique_ptr<QemuProcess>(new QemuProcess(std::move(*child), std::move(read_end)));
}

void QemuProcess::drain_output(std::string* fresh) {
  char chunk[16384];
  while (output_) {
    ssize_t n = ::read(output_.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      output_.reset();
      return;
    }
    tail_.append(chunk, static_cast<size_t>(n));
    if (fresh != nullptr) fresh->append(chunk, static_cast<size_t>(n));
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  }
}

std::vector<std::string> QemuProcess::output_tail() const {
  std::vector<std::string> lines;
  for (size_t at = 0; at < tail_.size();) {
    size_t end = std::min(tail_.find('\n', at), tail_.size());
    if (end > at) lines.push_back(tail_.substr(at, std::min(end - at, kLineBytes)));
    at = end + 1;
  }
  if (lines.size() > kTailLines) lines.erase(lines.begin(), lines.end() - kTailLines);
  return lines;
}

std::optional<QemuExit> QemuProcess::try_reap() { return wait_exit(0); }

std::optional<QemuExit> QemuProcess::wait_exit(int timeout_ms) {
  if (exit_) return exit_;
  auto exit = timeout_ms > 0 ? child_.wait(std::chrono::milliseconds(timeout_ms)) : child_.poll();
  if (exit) {
    exit_ = to_qemu_exit(*exit);
    drain_output();
  }
  return exit_;
}

QemuExit QemuProcess::kill_and_reap() {
  if (!exit_) {
    child_.signal(SIGKILL);
    exit_ = to_qemu_exit(child_.terminate(std::chrono::milliseconds(0)));
    drain_output();
  }
  return *exit_;
}

}  // namespace ktstr
