// The exit codes of ktstr-launch and ktstr-reporter: one class of outcome each, so that CI can tell a finding from
// a broken machine. The table in the README is this one.
//
// Several tests in one run: the launcher exits with merge_exit_codes() of all of them.
#pragma once

#include <initializer_list>

namespace ktstr {

enum class ExitCode : int {
  kPass = 0,        // every test passed (expected errors included)
  kTestFailed = 1,  // a finding: the scheduler, its workload or a check failed; panics and hangs under it too
  kUsage = 2,       // bad command line, spec or pin: nothing was booted
  kInfrastructure =
      3,  // no finding possible: QEMU or the boot failed, a needed helper was lost, the disk is full
  kInconclusive =
      4,         // ran, but cannot be judged: emulator artifact, run not finished, a check without its data
  kNoTests = 5,  // the selection is empty
  kFilter = 6,   // bad -E expression: nothing was booted
  kInterrupted = 130,  // SIGINT
  kTerminated = 143,   // SIGTERM
};

constexpr int exit_code(ExitCode code) { return static_cast<int>(code); }
inline constexpr int kUsage = exit_code(ExitCode::kUsage);
inline constexpr int kInfra = exit_code(ExitCode::kInfrastructure);

// The code of a run of two tests: an interruption wins, then a finding, then a broken machine, then a doubt.
constexpr ExitCode merge_exit_codes(ExitCode a, ExitCode b) {
  for (ExitCode code :
       {ExitCode::kInterrupted, ExitCode::kTerminated, ExitCode::kUsage, ExitCode::kFilter,
        ExitCode::kTestFailed, ExitCode::kInfrastructure, ExitCode::kInconclusive, ExitCode::kNoTests}) {
    if (a == code || b == code) return code;
  }
  return ExitCode::kPass;
}

}  // namespace ktstr
