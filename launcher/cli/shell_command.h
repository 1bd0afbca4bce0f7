// ktstr-launch shell: the VM of a test, or a plain one, with a shell instead of the workload.
#pragma once

#include <string>
#include <vector>

#include "launcher/cli/command_line.h"

namespace ktstr {

struct ShellCommandOptions {
  RunCommandOptions run;           // kernel, accelerator, where schedulers are, …
  std::string test;                // empty: a plain VM
  std::string command;             // --exec; empty: a terminal, or what stdin holds
  std::vector<std::string> bring;  // --with: programs and files of this host
  std::string topology;            // --topology; empty: the test's, else four CPUs
  uint32_t memory_mb = 0;          // 0: the test's, else 1024
  bool with_scheduler = false;
};
// The shell's exit code; 2 and 3 are the launcher's own as well, with a line on stderr that says why.
int shell_command(const ShellCommandOptions& options);

}  // namespace ktstr
