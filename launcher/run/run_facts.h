// What the launcher states at a run's start and at a VM's end, apart from when it states it (run_session).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launcher/run/run_session.h"
#include "schemas/run_generated.h"

namespace ktstr {

// "STAMP/TEST", with the round and the try of a test that has several.
std::string run_id_of(const TestSpecT& spec, const RunEnvironment& environment);

// For a shell: runs this test again. Of a recorded run it is the command that was given.
std::string rerun_command(const TestSpecT& spec, const RunEnvironment& environment);

// The switches of this shell that are in the kernel's command line, as far as they are set: without them a seed takes another
// course.
using Switches = std::vector<std::pair<std::string, std::string>>;
Switches shell_switches();
// The command with them, by env(1).
std::vector<std::string> with_switches(const Switches& switches, std::vector<std::string> command);

// What is known of the run before its bus: run_id, stamps, rerun and time_scale are the caller's to fill in.
RunStartedT run_started(const TestSpecT& spec, const RunEnvironment& environment);

struct VmEndFacts {
  bool interrupted = false;  // by a signal to the launcher
  bool timed_out = false;    // a deadline passed
  bool ended_by_us = false;  // the launcher ended a VM that did no wrong
  bool not_started = false;  // there never was a process
  int exit_code = 0;         // QEMU's
  int signal = 0;            // that ended QEMU; 0: none
  Stage last_stage = Stage::NotStarted;
};
VmEnd vm_end(const VmEndFacts& facts);

}  // namespace ktstr
