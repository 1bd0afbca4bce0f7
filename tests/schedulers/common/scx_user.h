// The user half that all our schedulers share: open, load, attach, print a status line a second, and say
// why the kernel disabled the scheduler.
#pragma once

#include <linux/types.h>

#include <cstdint>
#include <span>

#include "tests/schedulers/common/scx_shared.h"

struct bpf_object;

namespace scx {

// A command line option that sets one number of the BPF half's configuration.
struct Option {
  const char* flag;  // with its dashes
  __u64 scx_config::* field;
  __u64 initial;  // the value without the option
  const char* help;
};

struct Scheduler {
  const char* name;  // as in the status lines
  std::span<const Option> options{};
  // Called before the BPF object is opened. Non-zero ends the process with that status.
  int (*before_load)() = nullptr;
  // Called once a second while the scheduler runs, after the status line.
  void (*on_tick)(unsigned second) = nullptr;
  // Called again and again, without a pause, while the scheduler runs; false ends it. Null: the user half has nothing to do.
  bool (*serve)(bpf_object* object, const scx_config& config) = nullptr;
};

// Runs until the kernel disables the scheduler or SIGINT/SIGTERM asks for the end. Returns the exit
// status: 0 when the scheduler ran, however it ended (the reason is printed), 1 when it could not be
// loaded or attached, 2 for a bad command line.
int run(const Scheduler& scheduler, int argc, char** argv);

}  // namespace scx
