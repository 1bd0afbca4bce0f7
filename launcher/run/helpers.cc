#include "launcher/run/helpers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>

#include "schemas/helper_flags.h"

namespace ktstr {
namespace {

constexpr int kReadyLimitMs = 20'000;

}  // namespace

Result<Helper> start_helper(const std::string& name, const HelperOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  ChildOptions child_options;
  child_options.argv = {options.program_folder + "/ktstr-" + name,
                        kBusFlag,
                        options.bus_folder,
                        kLogFlag,
                        options.log_path,
                        kRunIdFlag,
                        options.run_id,
                        kStartNsFlag,
                        std::to_string(options.start_ns),
                        kReadyFdFlag,
                        std::to_string(write_end.get()),
                        kParentFlag,
                        std::to_string(::getpid())};
  for (const auto& arg : options.extra_args) child_options.argv.push_back(arg);
  child_options.keep_fds = {write_end.get()};
  child_options.parent_death_signal = SIGHUP;  // it removes the bus folder, then ends (runtime/process.cc)
  auto child = Child::spawn(child_options);
  if (!child) return std::move(child).error();
  write_end.reset();

  std::string said;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kReadyLimitMs);
  while (said.find('\n') == std::string::npos) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd p[] = {{read_end.get(), POLLIN, 0}, {options.stop_fd, POLLIN, 0}};
    int n = ::poll(p, 2, static_cast<int>(std::max<long long>(0, left.count())));
    if (n < 0 && errno == EINTR) continue;
    if (p[1].revents != 0) return Error::system("interrupted before ktstr-" + name + " was ready");
    if (n == 0) return Error::timeout("ktstr-" + name + " did not become ready within 20 s");
    char chunk[16];
    ssize_t got = ::read(read_end.get(), chunk, sizeof chunk);
    if (got <= 0) {
      ChildExit exit = child->terminate(std::chrono::milliseconds(1000));
      return Error::system("ktstr-" + name + " ended before it was ready: " + exit.to_string());
    }
    said.append(chunk, static_cast<size_t>(got));
  }
  Helper helper;
  helper.name = name;
  helper.pid = child->pid();
  helper.child = std::move(child).value();
  return helper;
}

}  // namespace ktstr
