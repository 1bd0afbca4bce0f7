// What went wrong in the primary VM, if anything: one failure, the one that explains the others, with the
// sentence for the BUG SUMMARY. Only what the kernel says makes a crash of a scheduler, not its process's exit
// status.
#pragma once

#include <string>
#include <vector>

#include "reporter/run_model.h"
#include "schemas/crash_generated.h"

namespace ktstr {

enum class FailureKind {
  kNone,
  kSchedulerCrash,  // the kernel disabled the scheduler because of an error
  kStall,           // ... because a task was not run
  kArtefact,        // looks like a crash, but the emulator did it
  kKernelPanic,
  kKernelOops,
  kLockup,
  kSchedulerDied,   // its process ended by itself after it had attached
  kSchedulerLeft,   // sched_ext was disabled in the middle, nobody said why
  kLoadFailed,      // the kernel refused the scheduler
  kKernelDamaged,   // ... because the image's BTF describes a kfunc wrongly
  kDiedUnattached,  // its process ended before it attached, for another reason
  kNeverAttached,   // its process ran, sched_ext was not enabled in time
  kNotStarted,      // its program could not be started
  kGuestFailed,     // init could not do its work
  kBootFailed,      // the kernel or the machine did not come up
  kQemuFailed,
  kHang,           // the guest stopped sending after it was up
  kGuestDied,      // the VM ended without a word
  kKernelMessage,  // the scheduler stayed, and the kernel warned
  kWorkload,       // the scheduler stayed, but the workload suffered
};

struct Cause {
  FailureKind kind = FailureKind::kNone;
  std::string summary;  // "scx_bpf_error: no such cell (scx_x.bpf.c:213 in x_enqueue: scx_bpf_error(...))"
  std::string reason;   // for the error line: "scheduler crashed", "scheduler did not load"
  std::vector<std::string> evidence = {};  // what the summary rests on, most telling first
  std::string advice = {};                 // what usually mends it; empty: nothing is known
};

// Findings about the VM and the scheduler; not the workload's (see checks.h). What a lost collector did not pass on is no
// finding: the guest's silence and a VM's end without a word then say something about ktstr alone.
Cause find_cause(const RunModel& model);

// What the collector did not deliver of this VM ("collector: killed by signal 9 (Killed)"); empty: nothing is missing.
std::string lost_evidence(const VmRecord& vm);

// The scheduler or its VM has ended early: `--- diagnostics ---` is printed without RUST_BACKTRACE.
bool needs_diagnostics(FailureKind kind);

}  // namespace ktstr
