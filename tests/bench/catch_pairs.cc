// A payload in the VM: runs a command PAIRS times plainly and PAIRS times under init's attach catching (notify_filter.h,
// attach_gate.h), in turns, and says the rate of each: "pair K: PLAIN CAUGHT decisions/s".
//
// Usage: ktstr_catch_pairs PAIRS COMMAND...   The command's last line is "… N decisions in T s".
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "guest/init/attach_gate.h"
#include "guest/init/fd_passing.h"
#include "guest/init/notify_filter.h"

namespace {

using namespace ktstr;

// The rate that the command states; negative: it did not run.
double run(char** command, bool caught) {
  int out[2], pair[2];
  if (::pipe(out) != 0 || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
  const auto filter = guest::notify_filter();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out[1], 1);
    ::close(out[0]);
    if (caught) {
      const int listener = guest::install_notify_filter(filter);
      if (listener < 0 || !guest::send_with_fd(pair[1], "L", listener)) ::_exit(126);
      ::close(listener);
    }
    ::execv(command[0], command);
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(pair[1]);
  guest::AttachGate gate;
  if (caught) {
    UniqueFd listener;
    char letter;
    // As in a run: the attach is handed over; here to one that does nothing with it.
    const guest::AttachGate::Options options{.hand_over = [](void*, const AttachCall&) { return false; },
                                             .answer_limit_ns = 1'000'000'000};
    if (guest::receive_with_fd(pair[0], &letter, 1, &listener) != 1 ||
        !gate.start(std::move(listener), options))
      return -1;
  }
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(out[0], buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  ::close(out[0]);
  ::close(pair[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  const size_t at = text.rfind("] ");
  unsigned long long decisions = 0;
  double seconds = 0;
  if (status != 0 || at == std::string::npos ||
      std::sscanf(text.c_str() + at, "] %llu decisions in %lf s", &decisions, &seconds) != 2 ||
      seconds <= 0) {
    std::printf("%s", text.c_str());
    return -1;
  }
  return static_cast<double>(decisions) / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (int k = 0; k < std::atoi(argv[1]); ++k) {
    double rates[2];
    // Who is first alternates, too.
    for (int turn = 0; turn < 2; ++turn) {
      const bool caught = (turn == 1) != (k % 2 == 1);
      rates[caught] = run(argv + 2, caught);
      if (rates[caught] < 0) return 1;
    }
    std::printf("pair %d: %.1f %.1f decisions/s\n", k, rates[0], rates[1]);
  }
  return 0;
}
