// One VM with a shell in it, from its start to its end: what the user types goes to the guest, what the shell writes goes to the
// user. There is no bus, no log and no helper process: the launcher itself holds the other ends of console and channel.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "launcher/run/progress.h"
#include "launcher/run/vm_session.h"

namespace ktstr {

struct ShellOptions {
  VmRequest vm;                 // its carriers are made here
  bool terminal = true;         // stdin is the user's terminal
  std::string greeting;         // with a terminal: a line before the shell
  std::string out;              // folder for console.txt and scheduler.txt; empty: not kept
  uint64_t start_limit_ns = 0;  // from QEMU's start to the shell's
  int signal_fd = -1;           // SIGINT, SIGTERM, SIGHUP
  Progress* progress = nullptr;
};

// Returns the shell's exit code, 128 and the signal that ended it, or 130, 143 when a signal ended ourselves. Errors: the VM did not
// start, or ended before its shell did. The user's terminal is as it was, in either case. REQUIRES: main thread.
Result<int> run_shell(ShellOptions options);

}  // namespace ktstr
