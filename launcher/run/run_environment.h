// What a run's tests, and the VM of a shell, are given: programs, machine, kernel, switches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "launcher/hub/hub.h"
#include "launcher/run/folders.h"
#include "launcher/run/progress.h"
#include "launcher/run/recorded_run.h"
#include "launcher/run/vm_session.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/run_generated.h"

namespace ktstr {

class VmTemplates;

// Which run of a test this is.
struct RunPlace {
  uint32_t round = 1, rounds = 1;      // --repeat
  uint32_t try_number = 1, tries = 1;  // --retries
};

enum class KeepDump {
  kNever,
  kPanic,   // of a VM that died or hung
  kAlways,  // of every VM, when it ends
};

// What all tests of one `ktstr-launch run` share.
struct RunEnvironment {
  std::string program_folder;  // our own programs
  std::string artifacts;       // folder of the run's files
  FolderOptions folders;
  std::string qemu;
  KernelInfoT kernel;
  AcceleratorInfoT accelerator;
  uint32_t tsc_khz = 0;  // of the host's time stamp counter (vm/host_tsc.h)
  HostInfoT host;
  double load_1min = 0;
  uint64_t boot_limit_ns = 0;              // 0: the default (run/deadlines.h)
  uint64_t test_limit_ns = 0;              // --timeout, of one try of one test; 0: none
  uint32_t jobs = 1;                       // tests that may run at the same time
  std::string partition;                   // --partition; empty: all tests
  RunPlace place;                          // of the run in hand
  std::vector<std::string> command;        // our argv
  std::string verb = "run";                // that makes the tests: run, sweep
  std::vector<std::string> rerun_options;  // of the command line, that a rerun of one test needs too
  std::vector<std::pair<std::string, std::string>> environment;  // switches that shape the report
  std::vector<std::string> known;  // folders of earlier runs, besides those kept on this machine
  bool verbose_console = false;
  bool own_view = false;  // KTSTR_OWN_VIEW: the guest's own view goes into the log (tests of the monitor)
  std::optional<BusListen> listen;          // for remote clients
  std::optional<DeterminismT> determinism;  // nothing: a plain run
  std::vector<uint64_t> observe_ns;         // of a deterministic primary VM: as VmStarted.observe_ns
  uint64_t hold_at_ns = 0;                  // of a deterministic primary VM: as VmStarted.hold_at_ns
  std::optional<GdbStub> gdb;               // of the primary VM; as VmRequest.gdb
  VmTemplates* templates = nullptr;         // null: every VM boots
  std::vector<std::string> qemu_args,
      kernel_args;  // --qemu-arg, --kernel-arg; the latter are in the tests' specs already
  KeepDump keep_dump = KeepDump::kNever;  // the guest's memory as an ELF core beside the log
  bool embed = false;                     // the log gets all that is needed to repeat the run
  const RecordedRun* recorded = nullptr;  // its primary VM is not booted again, only the repro VM
  int signal_fd = -1;                     // signalfd with SIGINT, SIGTERM, SIGHUP
  Progress* progress = nullptr;
  const Clock* clock = nullptr;
};

// What every VM of these tests is asked for alike. The caller adds spec, folder and what is this VM's own.
VmRequest vm_request(const RunEnvironment& environment);

}  // namespace ktstr
